"""Coarser copies of a volume, with their steps in millimetres.

A pyramid in voxels would shrink six-millimetre slices as eagerly as half-millimetre pixels. Here a level
names the finest spacing that it keeps: finer axes are smoothed and resampled to it, coarser ones stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from scipy.sparse import csr_array

from medfuse.geometry import Matrix
from medfuse.registration.images import Image, Values, to_array, to_image

_SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))
_FEWEST_VOXELS_TO_SMOOTH = 4
_LEAST_WEIGHT = 1e-6  # smaller ones count as zero
_REACH_SIGMAS = 8.0  # farther off, a weight is smaller than that
_ROWS = 1024  # smoothed at once; a header may claim an axis of any length


def pyramid(image: Image, levels_mm: Sequence[float]) -> dict[float, Image]:
    """Return one copy of the image for each level, each made from the next finer one.

    Args:
        image: float32 image.
        levels_mm: spacings in mm, in any order.

    Returns:
        The copies by level. An axis whose voxels are already wider than the level keeps them.
    """
    copies: dict[float, Image] = {}
    for level in sorted(set(levels_mm)):
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
    sigmas = _SIGMA_PER_FWHM * np.sqrt(np.maximum(level_mm**2 - old**2, 0.0)) / old
    if not sigmas.any():
        return image
    counts = np.maximum(1, np.round(sizes * old / np.maximum(old, level_mm))).astype(int)
    new = sizes * old / counts  # the same field of view, edge to edge
    values = to_array(image)
    for axis in np.flatnonzero(sigmas):
        values = _weighed(values, int(axis), _weights(int(sizes[axis]), int(counts[axis]), float(sigmas[axis])))
    coarse = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    direction = np.reshape(image.GetDirection(), (3, 3))
    coarse.SetOrigin((np.asarray(image.GetOrigin()) + direction @ ((new - old) / 2.0)).tolist())
    coarse.SetSpacing(new.tolist())
    coarse.SetDirection(image.GetDirection())
    return coarse


def _weights(size: int, count: int, sigma: float) -> csr_array:
    """Return what each voxel of a row gives to each of fewer ones, smoothed by a Gaussian and then interpolated.

    Smoothing a row is linear, so what it does to rows of a single 1 tells all.

    Args:
        size: voxels of the row.
        count: voxels wanted over the same length.
        sigma: of the Gaussian, in voxels of the row.

    Returns:
        (count, size) weights.
    """
    place = np.clip((np.arange(count) + 0.5) * (size / count) - 0.5, 0.0, size - 1.0)
    lower = np.minimum(place.astype(int), max(size - 2, 0))
    upper, share = np.minimum(lower + 1, size - 1), place - lower
    reach, found = int(np.ceil(_REACH_SIGMAS * sigma)), []
    for first in range(0, size, _ROWS):
        start, stop = max(0, first - reach), min(size, first + _ROWS + reach)
        rows = np.eye(min(_ROWS, size - first), stop - start, first - start)
        if size >= _FEWEST_VOXELS_TO_SMOOTH:
            rows = sitk.GetArrayFromImage(sitk.RecursiveGaussian(sitk.GetImageFromArray(rows), sigma, direction=0))
        near = slice(np.searchsorted(lower, start), np.searchsorted(upper, stop))
        weights = (1.0 - share[near]) * rows[:, lower[near] - start] + share[near] * rows[:, upper[near] - start]
        to, of = np.nonzero(abs(weights.T) >= _LEAST_WEIGHT)
        found.append((to + near.start, of + first, weights[of, to].astype(np.float32)))
    to, of, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return csr_array((weights, (to, of)), shape=(count, size))


def _weighed(values: Values, axis: int, weights: csr_array) -> Values:
    """Multiply every row along an axis by weights; a sparse product, summed in one order."""
    rows = np.moveaxis(values, axis, 0)
    product = weights @ np.ascontiguousarray(rows).reshape(len(rows), -1)
    return np.moveaxis(product.reshape(-1, *rows.shape[1:]), 0, axis)
