"""Poses with their scores, and how to choose among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine


@dataclass(frozen=True)
class Pose:
    """A transform that was scored.

    Attributes:
        name: the start that it came from.
        fixed_to_moving_ras: (4, 4) rigid transform of RAS points.
        similarity: mutual information in nats where the two scans meet.
        overlap: fraction 0 .. 1 of the points compared that lie inside the moving scan.
    """

    name: str
    fixed_to_moving_ras: Matrix
    similarity: float
    overlap: float

    @property
    def score(self) -> float:
        """What is compared: the similarity spread over all points, so that leaving the scan never pays."""
        return self.similarity * self.overlap


def displacement_mm(matrix_a: Matrix, matrix_b: Matrix, points_mm: Points) -> float:
    """Return the mean distance in mm between where two transforms take points, (N, 3)."""
    apart = apply_affine(matrix_a - matrix_b, points_mm)
    return float(np.sqrt(np.einsum("nc,nc->n", apart, apart)).mean())


def best_first(poses: Sequence[Pose]) -> list[Pose]:
    """Sort by score, highest first; equal scores keep their order."""
    return sorted(poses, key=lambda pose: -pose.score)


def best_of_each_turn(poses: Sequence[Pose]) -> list[Pose]:
    """Keep the best of all poses that turn the head alike and shift it differently; best first."""
    kept: dict[bytes, Pose] = {}
    for pose in best_first(poses):
        kept.setdefault(pose.fixed_to_moving_ras[:3, :3].tobytes(), pose)
    return list(kept.values())


def prefer_less_motion(poses: Sequence[Pose], points_mm: Points, basin_mm: float, tie: float) -> Pose:
    """Choose the best pose, or a rival nearly as good that moves the head less.

    Args:
        poses: at least one.
        points_mm: (N, 3) points of the fixed head.
        basin_mm: poses closer than this to the best, on average, are the same optimum and no rivals.
        tie: the fraction of the score by which the best must lead to be preferred.

    Returns:
        The pose of choice.
    """
    best = best_first(poses)[0]
    here = np.eye(4)
    choice, shortest = best, displacement_mm(best.fixed_to_moving_ras, here, points_mm)
    for pose in poses:
        rival = displacement_mm(pose.fixed_to_moving_ras, best.fixed_to_moving_ras, points_mm) > basin_mm
        motion = displacement_mm(pose.fixed_to_moving_ras, here, points_mm)
        if rival and motion < shortest and pose.score >= (1.0 - tie) * best.score:
            choice, shortest = pose, motion
    return choice
