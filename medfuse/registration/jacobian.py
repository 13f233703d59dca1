"""How a map of space stretches small volumes, and whether it folds anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch

from medfuse.geometry import Matrix
from medfuse.registration.bspline import Field

Derivatives: TypeAlias = tuple[Field, Field, Field]


def jacobian_determinant(displacement_mm: torch.Tensor, affine_ras: Matrix, start_ras: Matrix) -> torch.Tensor:
    """Return by how much the map ``start_ras @ p + displacement(p)`` stretches the volume around each node.

    Central differences in mm, one-sided at the border. 1 keeps the volume, below 1 shrinks it, 0 or less folds.

    Args:
        displacement_mm: (3, I, J, K) displacements in RAS mm; at least two nodes along every axis.
        affine_ras: (4, 4) from indices of the nodes to fixed RAS mm, of any spacing and direction.
        start_ras: (4, 4) linear part of the map.

    Returns:
        (I, J, K) float32 determinants, without unit.
    """
    field = displacement_mm.detach().cpu().numpy().astype(np.float64)
    along_i, along_j, along_k = np.gradient(field, axis=(1, 2, 3))
    found = _determinant((along_i, along_j, along_k), affine_ras, start_ras)
    return torch.from_numpy(found.astype(np.float32))


def jacobian_range(displacement_mm: torch.Tensor, affine_ras: Matrix, start_ras: Matrix) -> tuple[float, float]:
    """Return the smallest and the largest determinant of the map ``start_ras @ p + displacement(p)``.

    Between the nodes the displacement is interpolated linearly. Its derivatives at the eight corners of a cell are
    the differences along the edges that meet there, and all eight are looked at in every cell: a fold between two
    nodes, which central differences miss, is found (Karacali and Davatzikos, "Estimating topology preserving and
    smooth displacement fields", IEEE TMI 2004).

    Args:
        displacement_mm: (3, I, J, K) displacements in RAS mm; at least two nodes along every axis.
        affine_ras: (4, 4) from indices of the nodes to fixed RAS mm, of any spacing and direction.
        start_ras: (4, 4) linear part of the map.

    Returns:
        Smallest and largest determinant; the smallest is positive if the map folds nowhere.
    """
    field = displacement_mm.detach().cpu().numpy().astype(np.float64)
    low, high = np.inf, -np.inf
    for edges in _corners(field):
        found = _determinant(edges, affine_ras, start_ras)
        low, high = min(low, float(found.min())), max(high, float(found.max()))
    return low, high


def _corners(field: Field) -> Iterator[Derivatives]:
    """Yield, for each of a cell's corners, the differences along the three edges there, (3, I-1, J-1, K-1)."""
    ends = (slice(None, -1), slice(1, None))
    along_i, along_j, along_k = (np.diff(field, axis=axis) for axis in (1, 2, 3))
    for i, j, k in itertools.product(ends, repeat=3):
        yield along_i[:, :, j, k], along_j[:, i, :, k], along_k[:, i, j, :]


def _determinant(along: Derivatives, affine_ras: Matrix, start_ras: Matrix) -> Field:
    """Return the determinants of ``start_ras`` plus the displacement's derivatives by fixed RAS mm."""
    per_mm = np.linalg.inv(affine_ras[:3, :3])
    rows = [
        [start_ras[c, axis] + sum(along[i][c] * per_mm[i, axis] for i in range(3)) for axis in range(3)]
        for c in range(3)
    ]
    (a, b, c), (d, e, f), (g, h, i) = rows
    return np.asarray(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
