"""Coarser copies of a volume, with their steps in millimetres.

A pyramid in voxels would shrink six-millimetre slices as eagerly as half-millimetre pixels. Here a level
names the finest spacing that it keeps: finer axes are smoothed and resampled to it, coarser ones stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.geometry import Matrix
from medfuse.registration.images import Image, to_array, to_image

_SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
_FEWEST_VOXELS_TO_SMOOTH = 4


def pyramid(image: Image, levels_mm: Sequence[float]) -> dict[float, Image]:
    """Return one copy of the image for each level, each made from the next finer one.

    Args:
        image: float32 image.
        levels_mm: spacings in mm, in any order.

    Returns:
        The copies by level. An axis whose voxels are already wider than the level keeps them.
    """
    copies: dict[float, Image] = {}
    for level in sorted(levels_mm):
        image = coarsen(image, level)
        copies[level] = image
    return copies


def clipped_pyramid(
    volume: torch.Tensor, affine_ras: Matrix, percentiles: tuple[float, float], levels_mm: Sequence[float]
) -> dict[float, Image]:
    """Clip a volume's few extreme values, which would empty a histogram, and make its pyramid.

    Args:
        volume: (X, Y, Z).
        affine_ras: its (4, 4) index-to-RAS affine.
        percentiles: values outside these are clipped.
        levels_mm: spacings in mm, in any order.

    Returns:
        The copies by level.
    """
    image = to_image(volume, affine_ras)
    low, high = np.percentile(to_array(image)[::2, ::2, :], percentiles)
    if high > low:
        image = sitk.Clamp(image, sitk.sitkFloat32, float(low), float(high))
    return pyramid(image, levels_mm)


def coarsen(image: Image, level_mm: float) -> Image:
    """Smooth and resample the axes that are finer than a level.

    The Gaussian widens a voxel's point spread from its spacing to the level's (full widths at half maximum
    add in squares), as in Cardoso et al., "Scale factor point spread function matching", MICCAI 2015.

    Args:
        image: float32 image.
        level_mm: the finest spacing to keep, in mm.

    Returns:
        An image over the same field of view, its spacing at least ``level_mm`` on every axis.
    """
    old = np.asarray(image.GetSpacing())
    sizes = np.asarray(image.GetSize())
    for axis in range(3):
        sigma = _SIGMA_PER_FWHM * np.sqrt(max(level_mm**2 - old[axis] ** 2, 0.0))
        if sigma > 0.0 and sizes[axis] >= _FEWEST_VOXELS_TO_SMOOTH:
            image = sitk.RecursiveGaussian(image, sigma=sigma, direction=axis)
    counts = np.maximum(1, np.round(sizes * old / np.maximum(old, level_mm))).astype(int)
    new = sizes * old / counts  # the same field of view, edge to edge
    if (counts == sizes).all():
        return image
    direction = np.reshape(image.GetDirection(), (3, 3))
    origin = np.asarray(image.GetOrigin()) + direction @ ((new - old) / 2.0)
    return sitk.Resample(
        image,
        counts.tolist(),
        sitk.Transform(3, sitk.sitkIdentity),
        sitk.sitkLinear,
        origin.tolist(),
        new.tolist(),
        image.GetDirection(),
        0.0,
        sitk.sitkFloat32,
    )
