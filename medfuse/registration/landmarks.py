"""Step 2 of 8, register: the rigid transform that fits pairs of points best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from medfuse.errors import InputError
from medfuse.geometry import Matrix, Points, apply_affine

_LEAST_WIDTH_MM = 1.0


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """A rigid transform, and how well points agree with it.

    Attributes:
        fixed_to_moving_ras: (4, 4) rigid transform, RAS mm.
        residuals_mm: (N,) distances in mm that are left between the points.
    """

    fixed_to_moving_ras: Matrix
    residuals_mm: Points

    @property
    def rms_mm(self) -> float:
        """Return the root of the mean squared residual in mm."""
        return float(np.sqrt(np.mean(self.residuals_mm**2)))


def fit_landmarks(fixed_mm: Points, moving_mm: Points) -> LandmarkFit:
    """Fit a rigid transform to pairs of points by least squares.

    The rotation is that of Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta
    Crystallographica A32, 1976; it never mirrors.

    Args:
        fixed_mm: (N, 3) points in the fixed volume, RAS mm.
        moving_mm: (N, 3) the same points in the moving volume.

    Raises:
        InputError: if there are fewer than 3, or they lie on one line, which leaves the turn about it open.
    """
    for points, role in ((fixed_mm, "fixed"), (moving_mm, "moving")):
        _check_spread(points, role)
    fixed_center, moving_center = fixed_mm.mean(axis=0), moving_mm.mean(axis=0)
    turn, _ = Rotation.align_vectors(moving_mm - moving_center, fixed_mm - fixed_center)
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix()
    matrix[:3, 3] = moving_center - matrix[:3, :3] @ fixed_center
    return LandmarkFit(matrix, np.linalg.norm(apply_affine(matrix, fixed_mm) - moving_mm, axis=1))


def nearest_rigid(matrix: Matrix, points_mm: Points) -> LandmarkFit:
    """Return the rigid transform that moves points most like a given one does.

    Args:
        matrix: (4, 4) affine transform of RAS points.
        points_mm: (N, 3) where the two are to agree, not all on one line.

    Returns:
        The transform; its residuals are the distances in mm between where the two take the points.
    """
    return fit_landmarks(points_mm, apply_affine(matrix, points_mm))


def _check_spread(points_mm: Points, role: str) -> None:
    widths = np.linalg.svd(points_mm - points_mm.mean(axis=0), compute_uv=False) / np.sqrt(len(points_mm))
    if len(points_mm) < 3 or widths[1] < _LEAST_WIDTH_MM:
        msg = f"the {role} landmarks lie on one line; give at least 3 that span a triangle"
        raise InputError(msg)
