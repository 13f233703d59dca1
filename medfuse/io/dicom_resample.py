"""Slices that do not form a grid at right angles, brought onto one.

A slice that slid within its plane (gantry tilt) is moved back by linear interpolation in that plane alone; between
slices at uneven distances the missing ones are interpolated from their two neighbors. So no value leaves the range of
those it comes from, and a voxel of the result lies where the header says that its anatomy lies.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from medfuse.io.dicom_geometry import Grid

Array = npt.NDArray[np.float32]


def onto_grid(stack: Array, grid: Grid, fill: float) -> Array:
    """Bring the ordered slices of a stack onto its grid.

    Args:
        stack: (X, Y, N), the N slices in the order of ``grid.order``.
        grid: the plan.
        fill: value where no slice was seen.

    Returns:
        (X, Y, Z) of ``grid.shape``; ``stack`` itself where there is nothing to do.
    """
    if grid.slid:
        stack = _moved_back(stack, grid, fill)
    return stack if grid.even else _between(stack, grid)


def _moved_back(stack: Array, grid: Grid, fill: float) -> Array:
    moved = np.empty((*grid.shape[:2], stack.shape[2]), dtype=np.float32)
    for index in range(stack.shape[2]):
        along_x = _shifted(stack[:, :, index], float(grid.shifts[index, 0]), grid.shape[0], fill)
        moved[:, :, index] = _shifted(along_x.T, float(grid.shifts[index, 1]), grid.shape[1], fill).T
    return moved


def _shifted(image: Array, shift: float, length: int, fill: float) -> Array:
    """Move an image along its first axis, by a number of pixels that need not be whole.

    Args:
        image: (N, M).
        shift: where its first pixel goes.
        length: of the first axis of the result.
        fill: value of the pixels whose center lies outside the image's own pixels.
    """
    wanted = np.arange(length, dtype=np.float64) - shift
    inside = (wanted >= -0.5) & (wanted <= len(image) - 0.5)
    wanted = np.clip(wanted, 0, len(image) - 1)
    low = np.floor(wanted).astype(int)
    high = np.minimum(low + 1, len(image) - 1)
    share = (wanted - low).astype(np.float32)[:, None]
    values = image[low] * (1 - share) + image[high] * share
    return np.where(inside[:, None], values, np.float32(fill)).astype(np.float32, copy=False)


def _between(stack: Array, grid: Grid) -> Array:
    filled = np.empty(grid.shape, dtype=np.float32)
    for z, source in enumerate(grid.slices):
        if source >= 0:
            filled[:, :, z] = stack[:, :, source]
            continue
        above = int(np.searchsorted(grid.at, z))
        share = np.float32((z - grid.at[above - 1]) / (grid.at[above] - grid.at[above - 1]))
        filled[:, :, z] = stack[:, :, above - 1] * (1 - share) + stack[:, :, above] * share
    return filled
