"""Whether a matrix can be a motion of a head at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points
from medfuse.registration.poses import displacement_mm


@dataclass(frozen=True)
class Plausibility:
    """What a matrix does.

    Attributes:
        scale_error: largest departure from 1 of its stretches; 0 for a rigid motion.
        mirrored: it turns left into right.
        turn_degrees: angle of its rotation.
        moved_mm: mean distance by which it moves the head.
    """

    scale_error: float
    mirrored: bool
    turn_degrees: float
    moved_mm: float


def weigh_matrix(matrix: Matrix, head_points_mm: Points) -> Plausibility:
    """Take a transform apart.

    Args:
        matrix: (4, 4) transform of RAS points.
        head_points_mm: (N, 3) points of the fixed head.
    """
    left, stretches, right = np.linalg.svd(matrix[:3, :3])
    turn = left @ right
    mirrored = bool(np.linalg.det(turn) < 0.0)
    if mirrored:
        turn = -turn
    cosine = np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0)
    return Plausibility(
        scale_error=float(np.abs(stretches - 1.0).max()),
        mirrored=mirrored,
        turn_degrees=float(np.degrees(np.arccos(cosine))),
        moved_mm=displacement_mm(matrix, np.eye(4), head_points_mm),
    )
