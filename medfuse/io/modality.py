"""The modality of a volume, as far as its header, its sidecar or its name tells.

Sidecars and names follow BIDS (Gorgolewski et al., Scientific Data 3:160044, 2016): ``sub-01_T1w.nii.gz``
with ``sub-01_T1w.json`` beside it. Modalities are named as in DICOM: MR, CT, PT, NM.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.io.sidecar import read_sidecar, stem_of
from medfuse.options import MODALITIES

_SYNONYMS = {"PET": "PT", "MRI": "MR", "SPECT": "NM"}
_MR_SUFFIXES = (
    *("t1w", "t2w", "pdw", "flair", "t2star", "t2starw", "t1map", "t2map", "t1rho", "pdt2"),
    *("inplanet1", "inplanet2", "angio", "swi", "unit1", "mp2rage", "mprage", "megre", "mese", "vfa"),
    *("bold", "cbv", "sbref", "dwi", "asl", "m0scan", "epi", "magnitude", "magnitude1", "magnitude2"),
    *("phase", "phase1", "phase2", "phasediff", "t1", "t2", "mr", "mri"),
)
_SUFFIX_MODALITY = {
    **dict.fromkeys(_MR_SUFFIXES, "MR"),
    **{"ct": "CT", "pet": "PT", "spect": "NM"},
}


@dataclass(frozen=True)
class FoundModality:
    """A modality and where it was found.

    Attributes:
        modality: MR, CT, PT or NM.
        source: ``"header"``, ``"sidecar"`` or ``"file name"``.
    """

    modality: str
    source: str


def find_modality(
    path: str | os.PathLike[str],
    meta: Mapping[str, Any] | None = None,
    sidecar: Mapping[str, Any] | None = None,
) -> FoundModality | None:
    """Look for the modality in the header, then in a JSON sidecar, then in the file name.

    Args:
        path: the volume's file.
        meta: metadata of the volume; ``modality`` in it is what its header states.
        sidecar: the fields of the sidecar where they have been read; None to read them.

    Returns:
        What was found, or None if nothing tells, or something other than MR, CT, PT or NM.
    """
    path = Path(path)
    sidecar = read_sidecar(path) if sidecar is None else sidecar
    told = (
        ("header", _as_dicom(None if meta is None else meta.get("modality"))),
        ("sidecar", _as_dicom(sidecar.get("Modality"))),
        ("file name", _suffix_modality(stem_of(path))),
    )
    return next((FoundModality(modality, source) for source, modality in told if modality is not None), None)


def modality_of(path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None) -> str | None:
    """Return what ``find_modality`` finds, without the source."""
    found = find_modality(path, meta)
    return None if found is None else found.modality


def _as_dicom(value: object) -> str | None:
    """Accept one of the four names, whatever its case, or a common synonym."""
    if not isinstance(value, str):
        return None
    name = value.strip().upper()
    name = _SYNONYMS.get(name, name)
    return name if name in MODALITIES else None


def _suffix_modality(stem: str) -> str | None:
    """Apply the BIDS rule: what follows the last underscore names the contrast; a bare ``T1`` counts too."""
    last = re.split(r"[_.\s]", stem)[-1]
    return _SUFFIX_MODALITY.get(last.lower())
