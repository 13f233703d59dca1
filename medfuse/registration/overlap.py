"""Whether two scans meet in space, and how much of one the other has seen."""

from __future__ import annotations

import numpy as np

from medfuse.errors import OverlapError
from medfuse.geometry import Matrix, Points, apply_affine, inside_grid

_LATTICE = 24
SMALLEST_SHARED_FRACTION = 0.05


def check_overlap(
    fixed_shape: tuple[int, int, int],
    fixed_affine_ras: Matrix,
    moving_shape: tuple[int, int, int],
    moving_affine_ras: Matrix,
    fixed_to_moving_ras: Matrix | None = None,
) -> float:
    """Refuse two grids that hardly meet.

    Args:
        fixed_shape: (X, Y, Z) of the fixed scan.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving_shape: (X, Y, Z) of the moving scan.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_to_moving_ras: (4, 4) world transform between them; None for the headers as they are.

    Returns:
        The fraction 0 .. 1 of the smaller grid's volume that lies inside the other.

    Raises:
        OverlapError: if that is less than 5 %.
    """
    matrix = np.eye(4) if fixed_to_moving_ras is None else fixed_to_moving_ras
    shared = shared_fraction(fixed_shape, matrix @ fixed_affine_ras, moving_shape, moving_affine_ras)
    if shared < SMALLEST_SHARED_FRACTION:
        msg = (
            f"the two volumes share {shared:.1%} of the smaller one's space; let medfuse register them "
            f"(registration 'rigid'), or check that their headers state where they lie"
        )
        raise OverlapError(msg)
    return shared


def shared_fraction(
    shape_a: tuple[int, int, int], affine_a: Matrix, shape_b: tuple[int, int, int], affine_b: Matrix
) -> float:
    """Return the fraction 0 .. 1 of the smaller grid's volume inside the larger, to about 1 %."""
    volume_a = abs(np.linalg.det(affine_a[:3, :3])) * np.prod(shape_a)
    volume_b = abs(np.linalg.det(affine_b[:3, :3])) * np.prod(shape_b)
    if volume_a > volume_b:
        return shared_fraction(shape_b, affine_b, shape_a, affine_a)
    cells = (np.stack(np.meshgrid(*[np.arange(_LATTICE)] * 3, indexing="ij"), axis=-1) + 0.5) / _LATTICE
    indices = np.asarray(cells.reshape(-1, 3) * np.asarray(shape_a) - 0.5, dtype=np.float64)
    return inside_fraction(apply_affine(affine_a, indices), shape_b, affine_b)


def inside_fraction(points_mm: Points, shape: tuple[int, int, int], affine_ras: Matrix) -> float:
    """Return the fraction 0 .. 1 of world points, (N, 3) in mm, that lie inside some voxel of a grid."""
    if len(points_mm) == 0:
        return 0.0
    indices = apply_affine(np.asarray(np.linalg.inv(affine_ras), dtype=np.float64), points_mm)
    return float(inside_grid(indices, shape).mean())
