"""Guess the modality of a volume from its values, for files that do not tell."""

from __future__ import annotations

import numpy as np

from medfuse.geometry import Matrix, spacing_mm
from medfuse.transforms.ct_units import FloatArray

_AIR_BELOW_HU = -200.0
_AIR_FRACTION = 0.01
_BLURRED_ABOVE_MM = 5.5  # emission scans measured 6.5 mm and more, MR of one subject 1.5 to 4.5 mm


def guess_modality(values: FloatArray, affine_ras: Matrix) -> str:
    """Guess from air at -1000 (CT) and from blur (PET and SPECT).

    A guess to be said aloud, not to be relied on: an average over many subjects is as blurred as a PET scan, and a
    CT scan without negative values looks like MR.

    Args:
        values: (X, Y, Z).
        affine_ras: (4, 4) index-to-RAS affine.

    Returns:
        ``"CT"``, ``"PT"`` or ``"MR"``.
    """
    if (values < _AIR_BELOW_HU).mean() > _AIR_FRACTION:
        return "CT"
    return "PT" if correlation_length_mm(values, affine_ras) > _BLURRED_ABOVE_MM else "MR"


def correlation_length_mm(values: FloatArray, affine_ras: Matrix) -> float:
    """Return over how many mm the foreground varies by its own deviation, along the axis where it varies fastest.

    Args:
        values: (X, Y, Z).
        affine_ras: (4, 4) index-to-RAS affine.
    """
    foreground = values > values.mean()
    deviation = float(values[foreground].std())
    lengths = []
    for axis, step_mm in enumerate(spacing_mm(affine_ras)):
        low = np.take(values, range(values.shape[axis] - 1), axis=axis)
        high = np.take(values, range(1, values.shape[axis]), axis=axis)
        inside = (low > values.mean()) & (high > values.mean())
        slope = float(np.sqrt(np.mean(np.square(high - low)[inside]))) / step_mm if inside.any() else 0.0
        lengths.append(deviation / slope if slope > 0.0 else np.inf)
    return float(min(lengths))
