"""Pairs that may be fused: two images of one patient, of two modalities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from medfuse.label_app.images import StoredImage
from medfuse.options import MODALITIES


@dataclass(frozen=True)
class ProposedPair:
    """Two images of one patient.

    Attributes:
        fixed: the one whose grid the result would have: MR, if there is one.
        moving: the other one.
    """

    fixed: StoredImage
    moving: StoredImage

    def as_json(self) -> dict[str, str | None]:
        """Return ids and modalities; not who the patient is."""
        return {
            "fixed": self.fixed.id,
            "fixed_modality": self.fixed.modality,
            "moving": self.moving.id,
            "moving_modality": self.moving.modality,
        }


def propose(images: Iterable[StoredImage]) -> list[ProposedPair]:
    """Return every pair of two modalities of one patient, sorted by their ids.

    Args:
        images: what there is; images of an unknown patient or modality are left out.
    """
    known = [image for image in images if image.patient is not None and image.modality in MODALITIES]
    pairs = [
        ProposedPair(*sorted(two, key=_rank))
        for two in combinations(known, 2)
        if two[0].patient == two[1].patient and two[0].modality != two[1].modality
    ]
    return sorted(pairs, key=lambda pair: (pair.fixed.id, pair.moving.id))


def why_none(image: StoredImage) -> str:
    """Say in one line why there is no pair for an image."""
    if image.modality is None:
        return (
            "the modality of the image is not known; name it at the end of the file's name (sub-01_T1w), "
            "in a sidecar, or as Modality in the datastore"
        )
    if image.patient is None:
        return "whose image it is, is not known; begin its name with sub-ID, or state PatientID in the datastore"
    return "the datastore has no image of the same patient and another modality"


def _rank(image: StoredImage) -> int:
    return MODALITIES.index(str(image.modality))
