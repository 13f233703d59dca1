"""Where voxels lie in the patient: affines, axes, spacing, RAS and LPS.

An affine is a (4, 4) float64 array that takes voxel indices (i, j, k, 1) to millimetres in RAS
(x to the patient's right, y to the front, z to the head). ITK and DICOM speak LPS; the two functions
``ras_to_lps`` and ``lps_to_ras`` are the only place where the signs change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from medfuse.errors import GeometryError, OptionError

Matrix: TypeAlias = npt.NDArray[np.float64]
Points: TypeAlias = npt.NDArray[np.float64]

_FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])
_SMALLEST_SPACING_MM = 1e-3
_LARGEST_SPACING_MM = 1e3
_LARGEST_OFFSET_MM = 1e5
_SMALLEST_VOLUME_OF_AXES = 1e-3  # of the unit vectors; 1 at right angles, 0 in one plane
_SMALLEST_EXTENT_MM = 1.0
_LARGEST_EXTENT_MM = 5e3

ANATOMICAL_AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


def spacing_mm(affine_ras: Matrix) -> npt.NDArray[np.float64]:
    """Return the voxel spacing along each array axis, shape (3,), in mm."""
    return np.asarray(np.linalg.norm(affine_ras[:3, :3], axis=0), dtype=np.float64)


def directions(affine_ras: Matrix) -> Matrix:
    """Return the (3, 3) unit vectors of the array axes in RAS, one per column."""
    return np.asarray(affine_ras[:3, :3] / spacing_mm(affine_ras), dtype=np.float64)


def ras_to_lps(affine: Matrix) -> Matrix:
    """Express an index-to-world affine, given in RAS, in LPS."""
    return np.asarray(_FLIP_XY @ affine, dtype=np.float64)


def lps_to_ras(affine: Matrix) -> Matrix:
    """Express an index-to-world affine, given in LPS, in RAS."""
    return ras_to_lps(affine)  # the two flips are their own inverse


def world_transform_to_lps(matrix_ras: Matrix) -> Matrix:
    """Express a (4, 4) world-to-world transform of RAS points as one of LPS points (or back)."""
    return np.asarray(_FLIP_XY @ matrix_ras @ _FLIP_XY, dtype=np.float64)


def apply_affine(affine: Matrix, points: Points) -> Points:
    """Map points, shape (..., 3), through a (4, 4) affine."""
    moved = np.asarray(points @ affine[:3, :3].T, dtype=np.float64)
    moved += affine[:3, 3]
    return moved


def inside_grid(indices: Points, shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Tell which voxel positions, (N, 3), lie inside some voxel of a grid, outermost halves included."""
    inside = (indices >= -0.5) & (indices <= np.asarray(shape) - 0.5)
    return np.asarray(inside[:, 0] & inside[:, 1] & inside[:, 2])


def corners_mm(affine_ras: Matrix, shape: tuple[int, int, int]) -> Points:
    """Return the world positions, (8, 3) in mm, of the centers of the grid's corner voxels."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij")).reshape(3, -1).T
    return apply_affine(affine_ras, ends.astype(np.float64))


def center_mm(affine_ras: Matrix, shape: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Return the world position, (3,) in mm, of the middle of the grid."""
    return apply_affine(affine_ras, (np.asarray(shape, dtype=np.float64) - 1.0) / 2.0)


def same_view(affine_ras: Matrix, shape: tuple[int, int, int], wanted_mm: float) -> tuple[Matrix, tuple[int, int, int]]:
    """Lay a grid of about the spacing wanted, in mm, over the field of view of another, edge to edge."""
    counts = np.maximum(np.round(np.asarray(shape) * spacing_mm(affine_ras) / wanted_mm), 2).astype(int)
    steps = np.asarray(shape) / counts  # in voxels of the other grid
    to_other = np.diag([*steps, 1.0])
    to_other[:3, 3] = (steps - 1.0) / 2.0
    return affine_ras @ to_other, (int(counts[0]), int(counts[1]), int(counts[2]))


def same_grid(affine_a: Matrix, shape_a: tuple[int, ...], affine_b: Matrix, shape_b: tuple[int, ...]) -> bool:
    """Tell whether two grids place every voxel within a thousandth of a voxel of each other."""
    if tuple(shape_a) != tuple(shape_b):
        return False
    shape = (shape_a[0], shape_a[1], shape_a[2])
    apart_mm = np.abs(corners_mm(affine_a, shape) - corners_mm(affine_b, shape)).max()
    return bool(apart_mm <= 1e-3 * spacing_mm(affine_a).min())


def anatomical_dim(affine_ras: Matrix, plane: str) -> int:
    """Return the array axis that runs most nearly across an anatomical plane.

    Args:
        affine_ras: (4, 4) index-to-RAS affine.
        plane: ``"axial"``, ``"coronal"`` or ``"sagittal"``.

    Returns:
        The array axis 0, 1 or 2 whose slices show that plane. Each axis answers to one plane only, however
        oblique the grid.

    Raises:
        OptionError: if there is no such plane.
    """
    if plane not in ANATOMICAL_AXES:
        msg = f"plane is {plane!r}; choose one of {', '.join(ANATOMICAL_AXES)}"
        raise OptionError(msg)
    return _axis_to_plane_assignment(affine_ras)[ANATOMICAL_AXES[plane]]


def _axis_to_plane_assignment(affine_ras: Matrix) -> dict[int, int]:
    """Match anatomical axes to array axes, strongest alignment first."""
    alignment = np.abs(directions(affine_ras))  # (anatomical, array)
    assignment: dict[int, int] = {}
    for _ in range(3):
        anatomical, array = np.unravel_index(int(np.argmax(alignment)), alignment.shape)
        assignment[int(anatomical)] = int(array)
        alignment[anatomical, :] = -1.0
        alignment[:, array] = -1.0
    return assignment


def check_affine(affine_ras: Matrix, name: str, shape: tuple[int, int, int] | None = None) -> None:
    """Refuse an affine that cannot be the position of a scan.

    Args:
        affine_ras: (4, 4) index-to-RAS affine.
        name: what to call the volume in the message.
        shape: numbers of voxels; if given, the size of the whole volume is judged as well.

    Raises:
        GeometryError: if the affine is not finite, singular, flat, or places voxels absurdly.
    """
    if affine_ras.shape != (4, 4) or not np.isfinite(affine_ras).all() or list(affine_ras[3]) != [0, 0, 0, 1]:
        msg = f"{name}: the affine is not a finite 4 x 4 matrix ending in 0 0 0 1; correct the header"
        raise GeometryError(msg)
    spacing = spacing_mm(affine_ras)
    if (spacing < _SMALLEST_SPACING_MM).any() or (spacing > _LARGEST_SPACING_MM).any():
        shown = " x ".join(f"{value:.3g}" for value in spacing)
        msg = (
            f"{name}: voxel spacing {shown} mm is outside {_SMALLEST_SPACING_MM:g} to "
            f"{_LARGEST_SPACING_MM:g} mm; correct the header's spacing"
        )
        raise GeometryError(msg)
    if abs(np.linalg.det(directions(affine_ras))) < _SMALLEST_VOLUME_OF_AXES:
        msg = f"{name}: the affine is singular (the voxel axes lie in one plane); correct the header"
        raise GeometryError(msg)
    if np.abs(affine_ras[:3, 3]).max() > _LARGEST_OFFSET_MM:
        far_m = _LARGEST_OFFSET_MM / 1000
        msg = f"{name}: the affine's origin lies more than {far_m:g} m away; correct the header"
        raise GeometryError(msg)
    if shape is not None:
        _check_extent(spacing * shape, name)


def _check_extent(extent_mm: npt.NDArray[np.float64], name: str) -> None:
    """Refuse a volume smaller than any organ or larger than any patient: its spacing is not in mm."""
    if extent_mm.max() < _SMALLEST_EXTENT_MM or extent_mm.max() > _LARGEST_EXTENT_MM:
        shown = " x ".join(f"{value:.3g}" for value in extent_mm)
        msg = f"{name}: the volume is {shown} mm large, which no scan is; write the header's spacing in mm"
        raise GeometryError(msg)
