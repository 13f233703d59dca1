"""A map that is not linear: a linear part, and a field of displacements upon it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.images import Transform, grid_lps, to_transform
from medfuse.registration.information import interpolate

_SETTLED_MM = 1e-4
_MOST_POINTS_AT_ONCE = 2**20


@dataclass(frozen=True)
class Displacement:
    """Displacements on a lattice of nodes, interpolated linearly between them.

    With the linear transform ``start_ras`` beside it, it takes a world point p of the fixed volume to
    ``start_ras @ p + displacement(p)`` in the world of the moving one: looked up at p, added after the linear part.
    Beyond the outermost nodes it stays what it is at the border.

    Attributes:
        values_mm: (3, I, J, K) float32, in RAS mm along the axes of the moving world.
        affine_ras: (4, 4) from indices of the nodes to the world of the fixed volume, RAS mm.
    """

    values_mm: torch.Tensor
    affine_ras: Matrix

    def at(self, points_mm: Points) -> Points:
        """Return the displacements, (N, 3) in mm, at fixed world points, (N, 3) in RAS mm."""
        nodes = self.values_mm.shape[1:]
        to_index = np.asarray(np.linalg.inv(self.affine_ras), dtype=np.float64)
        indices = np.clip(apply_affine(to_index, points_mm), 0.0, np.asarray(nodes) - 1.0)
        parts = [interpolate(part.numpy(), indices) for part in self.values_mm.contiguous()]
        return np.stack(parts, axis=-1)


@dataclass(frozen=True)
class Inverse:
    """The way back, from the moving world to the fixed one.

    Attributes:
        start_ras: (4, 4) inverse of the linear part.
        displacement: what is added to ``start_ras @ q`` at a moving world point q.
        error_mm: the largest distance between a node and its image after going back and forth.
    """

    start_ras: Matrix
    displacement: Displacement
    error_mm: float


def move_points(points_mm: Points, start_ras: Matrix, displacement: Displacement) -> Points:
    """Take fixed world points, (N, 3) in RAS mm, to the moving world."""
    return apply_affine(start_ras, points_mm) + displacement.at(points_mm)


def seen_through(
    moving_shape: tuple[int, ...],
    moving_affine_ras: Matrix,
    fixed_shape: tuple[int, int, int],
    fixed_affine_ras: Matrix,
    start_ras: Matrix,
    displacement: Displacement,
) -> torch.Tensor:
    """Mark the fixed voxels whose centers the map takes inside a voxel of the moving scan.

    Args:
        moving_shape: (X', Y', Z') of the moving scan.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_shape: (X, Y, Z) of the fixed scan.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        start_ras: (4, 4) linear part of the map.
        displacement: its displacements.

    Returns:
        Bool mask of ``fixed_shape``.
    """
    to_index = np.asarray(np.linalg.inv(moving_affine_ras), dtype=np.float64)
    seen = torch.empty(fixed_shape, dtype=torch.bool)
    plane = np.indices((*fixed_shape[:2], 1)).reshape(3, -1).T.astype(np.float64)
    for k in range(fixed_shape[2]):  # slice by slice: all positions at once would fill the memory
        plane[:, 2] = k
        points = apply_affine(fixed_affine_ras, plane)
        indices = apply_affine(to_index, move_points(points, start_ras, displacement))
        seen[:, :, k] = torch.from_numpy(inside_grid(indices, moving_shape).reshape(fixed_shape[:2]))
    return seen


def to_warp(start_ras: Matrix, displacement: Displacement) -> Transform:
    """Make an ITK transform of LPS points: first the displacement, taken back to the fixed side, then the linear part.

    ITK leaves points beyond the field's outermost voxels to the linear part alone.
    """
    back = np.linalg.inv(start_ras[:3, :3])
    flip = np.diag([-1.0, -1.0, 1.0])
    values = displacement.values_mm.numpy().astype(np.float64)
    field = sitk.GetImageFromArray(np.einsum("ab,bijk->kjia", flip @ back, values), isVector=True)
    spacing, origin, direction = grid_lps(displacement.affine_ras)
    field.SetSpacing(spacing)
    field.SetOrigin(origin)
    field.SetDirection(direction)
    whole = sitk.CompositeTransform(3)
    whole.AddTransform(to_transform(start_ras))
    whole.AddTransform(sitk.DisplacementFieldTransform(field))  # the last one added is applied first
    return whole


def invert_displacement(
    start_ras: Matrix,
    displacement: Displacement,
    nodes: tuple[int, int, int],
    nodes_affine_ras: Matrix,
    iterations: int = 50,
) -> Inverse:
    """Find the way back by fixed-point iteration.

    From ``q = start @ p + u(p)`` follows ``p = start^-1 @ (q - u(p))``, which settles where the displacement
    changes by less than a millimetre per millimetre (Chen et al., "A simple fixed-point approach to invert a
    deformation field", Medical Physics 2008). The error tells where it did not, as beyond the field's border.

    Args:
        start_ras: (4, 4) linear part of the map.
        displacement: its displacements.
        nodes: how many nodes the inverse has along each axis.
        nodes_affine_ras: (4, 4) from their indices to the moving world, RAS mm.
        iterations: the most rounds.

    Returns:
        The inverse, with its largest error in mm.
    """
    index = np.indices(nodes).reshape(3, -1).T.astype(np.float64)
    back = np.asarray(np.linalg.inv(start_ras), dtype=np.float64)
    values, error = np.empty((len(index), 3)), 0.0
    for first in range(0, len(index), _MOST_POINTS_AT_ONCE):
        rows = slice(first, first + _MOST_POINTS_AT_ONCE)
        there = apply_affine(nodes_affine_ras, index[rows])
        here, residual = _undo(there, back, start_ras, displacement, iterations)
        values[rows] = here - apply_affine(back, there)
        error = max(error, residual)
    field = torch.from_numpy(values.T.reshape(3, *nodes).astype(np.float32))
    return Inverse(back, Displacement(field, nodes_affine_ras), error)


def _undo(
    there: Points, back: Matrix, start_ras: Matrix, displacement: Displacement, iterations: int
) -> tuple[Points, float]:
    """Return the points that a map takes there, and by how much it misses in mm."""
    here = apply_affine(back, there)
    residual = np.inf
    for _ in range(iterations):
        missed = there - move_points(here, start_ras, displacement)
        residual = float(np.linalg.norm(missed, axis=1).max())
        if residual < _SETTLED_MM:
            break
        here = here + missed @ back[:3, :3].T
    return here, residual
