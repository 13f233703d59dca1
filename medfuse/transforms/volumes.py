"""New values on the grid of another volume: where they lie is its metadata, what they mean is their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.data import MetaTensor
from torch import Tensor

from medfuse.io.nifti import DESCRIPTION_KEY

NORMALIZED = "normalized"
WINDOW_KEY = "intensity_window"
DICOM_KEY = "dicom"
_MEANINGS = ("modality", "modality_source", "units", "channels", DICOM_KEY, WINDOW_KEY, DESCRIPTION_KEY)


def on_grid_of(reference: MetaTensor, values: Tensor, meanings: Mapping[str, Any] | None = None) -> MetaTensor:
    """Return values with the affine of a volume on the same grid.

    Args:
        reference: the volume, or batch of volumes, whose grid it is.
        values: (C, X, Y, Z), or a batch of it.
        meanings: metadata that says what the values are. None of that is taken from the reference: fused values are
            not MR, though they lie on the grid of an MR scan.
    """
    kept = {key: value for key, value in reference.meta.items() if key not in ("affine", *_MEANINGS)}
    volume = MetaTensor(values, affine=reference.affine.clone(), meta={**kept, **(meanings or {})})
    volume.is_batch = reference.is_batch
    return volume


def meanings_of(volume: MetaTensor) -> dict[str, Any]:
    """Return the metadata that says what the values of a volume are, and which file they came from."""
    return {key: volume.meta[key] for key in (*_MEANINGS, "filename_or_obj") if key in volume.meta}
