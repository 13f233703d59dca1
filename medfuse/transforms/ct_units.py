"""Bring CT values to Hounsfield units when a file stores them otherwise."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]

HOUNSFIELD = "HU"
UNSIGNED = "HU + 1000"
CORMACK = "Cormack"

_LOWEST_WITHOUT_AIR_HU = -200.0
_HIGHEST_WITHOUT_BONE = 500.0
_AIR_CEILING = 20.0  # noise about an unsigned air of 0
_TISSUE_FLOOR = 600.0
_WATER_UNSIGNED = 1000.0
_HIGHEST_UNSIGNED_TISSUE = 1400.0
_CORMACK_STRETCH = 10.0  # added units for each HU between -100 and 100


def ct_units(values: FloatArray) -> str:
    """Tell which scale CT values are on.

    Args:
        values: CT values of a whole volume.

    Returns:
        ``"HU"``; ``"HU + 1000"`` for unsigned values whose air is 0 (a lost rescale intercept); or ``"Cormack"``
        for the scale of the head template of Rorden et al., "Age-specific CT and MRI templates for spatial
        normalization", NeuroImage 2012, which stretches -100 to 100 HU elevenfold above an air of 0.
    """
    if values.min() < _LOWEST_WITHOUT_AIR_HU or values.max() <= _HIGHEST_WITHOUT_BONE:
        return HOUNSFIELD
    tissue = values[values > _TISSUE_FLOOR]
    if tissue.size <= np.count_nonzero(values > _AIR_CEILING) / 2.0:  # bone alone: a scan that was cropped to a head
        return HOUNSFIELD
    return UNSIGNED if float(np.median(tissue)) < _HIGHEST_UNSIGNED_TISSUE else CORMACK


def to_hounsfield(values: FloatArray, units: str) -> FloatArray:
    """Convert CT values on one of the scales of ``ct_units`` to Hounsfield units.

    Args:
        values: CT values, any shape.
        units: the scale they are on.

    Returns:
        HU, same shape. An unsigned scale gives HU to within the unknown offset of its scanner (1000 or 1024).
    """
    if units == HOUNSFIELD:
        return values
    if units == UNSIGNED:
        return values - np.float32(_WATER_UNSIGNED)
    low, high = 900.0, 900.0 + 200.0 * (1.0 + _CORMACK_STRETCH)  # -100 HU and 100 HU on the stretched scale
    stretched = np.clip(values, low, high) - low
    unstretched = values - stretched * (_CORMACK_STRETCH / (1.0 + _CORMACK_STRETCH))
    return np.asarray(unstretched - _WATER_UNSIGNED, dtype=np.float32)


def from_hounsfield(values: FloatArray, units: str) -> FloatArray:
    """Convert Hounsfield units to one of the scales of ``ct_units``; the inverse of ``to_hounsfield``.

    Args:
        values: HU, any shape.
        units: the scale to go to.

    Returns:
        Values on that scale, same shape.
    """
    if units == HOUNSFIELD:
        return values
    unsigned = values + np.float32(_WATER_UNSIGNED)
    if units == UNSIGNED:
        return unsigned
    return np.asarray(unsigned + (np.clip(values, -100.0, 100.0) + 100.0) * _CORMACK_STRETCH, dtype=np.float32)
