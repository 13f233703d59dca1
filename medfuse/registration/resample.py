"""The moving volume on the fixed grid, and where it was seen at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.geometry import Matrix, same_grid
from medfuse.registration.images import Image, Transform, grid_lps, to_array, to_image, to_transform
from medfuse.registration.warp import Displacement, seen_through, to_warp

_MOST_PARTS = 4  # per axis of a fixed voxel


def resample_to(
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    fixed_shape: tuple[int, int, int],
    fixed_affine_ras: Matrix,
    fixed_to_moving_ras: Matrix,
    displacement: Displacement | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the moving volume onto the fixed grid by linear interpolation.

    A fixed voxel that spans several moving ones takes the mean over its own extent, so that fine noise and
    thin bone do not alias. A voxel counts as seen if its center lies inside a voxel of the moving scan; all
    others take the moving scan's smallest value, and nothing is continued past its border.

    Args:
        moving: (X, Y, Z) values of the moving scan.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_shape: (X, Y, Z) of the fixed scan.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_to_moving_ras: (4, 4) transform of RAS points, fixed to moving.
        displacement: what is added to it, by a lattice of nodes that covers the fixed scan; None for nothing.

    Returns:
        The values, float32 of ``fixed_shape``, and the mask of the voxels seen, bool of the same shape.
        Where the two grids coincide and nothing is displaced the values are those of ``moving``, bit for bit.
    """
    fixed_in_moving = fixed_to_moving_ras @ fixed_affine_ras
    if displacement is None and same_grid(fixed_in_moving, fixed_shape, moving_affine_ras, tuple(moving.shape)):
        return moving.detach().cpu().to(torch.float32, copy=True), torch.ones(fixed_shape, dtype=torch.bool)
    if displacement is None:
        transform = to_transform(fixed_to_moving_ras)
        seen = seen_by(tuple(moving.shape), moving_affine_ras, fixed_shape, fixed_in_moving)
    else:
        transform = to_warp(fixed_to_moving_ras, displacement)
        seen = seen_through(
            tuple(moving.shape), moving_affine_ras, fixed_shape, fixed_affine_ras, fixed_to_moving_ras, displacement
        )
    image = to_image(moving, moving_affine_ras)
    total, count = torch.zeros(fixed_shape), torch.zeros(fixed_shape)
    for part in _parts(fixed_in_moving, moving_affine_ras):
        shift = np.eye(4)
        shift[:3, 3] = part
        values = _look_up(image, fixed_shape, fixed_affine_ras @ shift, transform)
        known = ~torch.isnan(values)
        total += torch.where(known, values, 0.0)
        count += known
    seen &= count > 0
    return torch.where(seen, total / count.clamp(min=1.0), float(moving.min())), seen


def seen_by(
    moving_shape: tuple[int, ...],
    moving_affine_ras: Matrix,
    fixed_shape: tuple[int, int, int],
    fixed_in_moving_ras: Matrix,
) -> torch.Tensor:
    """Mark the fixed voxels whose centers lie inside a voxel of the moving scan.

    Args:
        moving_shape: (X, Y, Z) of the moving scan.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_shape: (X, Y, Z) of the fixed scan.
        fixed_in_moving_ras: (4, 4) from fixed indices to the moving scan's world.

    Returns:
        Bool mask of ``fixed_shape``.
    """
    to_index = np.linalg.inv(moving_affine_ras) @ fixed_in_moving_ras
    i, j, k = (torch.arange(n, dtype=torch.float64) for n in fixed_shape)
    seen = torch.ones(fixed_shape, dtype=torch.bool)
    for axis in range(3):
        along_i, along_j, along_k, start = (float(value) for value in to_index[axis])
        plane = (along_i * i + start)[:, None] + (along_j * j)[None, :]  # (X, Y)
        position = plane[:, :, None] + (along_k * k)[None, None, :]  # (X, Y, Z)
        seen &= (position >= -0.5) & (position <= moving_shape[axis] - 0.5)
    return seen


def _parts(fixed_in_moving: Matrix, moving_affine_ras: Matrix) -> Iterator[tuple[float, ...]]:
    """Cut a fixed voxel into parts about as long as a moving one; yield their middles in fixed indices."""
    step = np.linalg.inv(moving_affine_ras[:3, :3]) @ fixed_in_moving[:3, :3]
    counts = np.clip(np.round(np.linalg.norm(step, axis=0)), 1, _MOST_PARTS).astype(int)
    middles = [(np.arange(count) + 0.5) / count - 0.5 for count in counts]
    return itertools.product(*[axis.tolist() for axis in middles])


def _look_up(
    image: Image, fixed_shape: tuple[int, int, int], fixed_affine_ras: Matrix, transform: Transform
) -> torch.Tensor:
    """Interpolate an image on a grid; NaN where the grid leaves it."""
    spacing, origin, direction = grid_lps(fixed_affine_ras)
    found = sitk.Resample(
        image, fixed_shape, transform, sitk.sitkLinear, origin, spacing, direction, math.nan, sitk.sitkFloat32
    )
    return torch.from_numpy(np.ascontiguousarray(to_array(found)))
