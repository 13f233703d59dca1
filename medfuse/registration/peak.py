"""From a good pose to the very peak: up the exact slope of mutual information."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.descent import Vector, descend
from medfuse.registration.information import Scene
from medfuse.registration.parzen import information_and_forces, look_up
from medfuse.registration.presets import Level

_FEWEST_POINTS = 100
_LEAST_FRACTION = 0.1


@dataclass(frozen=True)
class Lever:
    """What a head is turned about.

    Attributes:
        center_mm: (3,) middle of the fixed head in RAS mm.
        radius_mm: root mean square distance of the head's voxels from it.
    """

    center_mm: Points
    radius_mm: float

    def motion(self, change: Vector) -> Matrix:
        """Return the (4, 4) motion of fixed RAS points for a rotation vector times the radius, and a shift: (6,) mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(change[:3] / self.radius_mm).as_matrix()
        matrix[:3, 3] = self.center_mm + change[3:] - matrix[:3, :3] @ self.center_mm
        return matrix

    def pull(self, change: Vector, arms_mm: Points, forces: Points) -> Vector:
        """Return the derivative by the change, (6,), of what has a derivative by the position of every point.

        Args:
            change: (6,) as for ``motion``.
            arms_mm: (N, 3) the points after the motion, from where it takes the center.
            forces: (N, 3) the derivatives by their positions.
        """
        turn = _left_jacobian(change[:3] / self.radius_mm)
        torque = np.cross(arms_mm, forces).sum(axis=0)
        return np.concatenate([(turn * torque[:, None]).sum(axis=0) / self.radius_mm, forces.sum(axis=0)])


def climb_to_peak(scene: Scene, start_ras: Matrix, lever: Lever, level: Level) -> Matrix:
    """Climb from a pose to the optimum of mutual information nearby.

    Points that the start takes out of the moving scan are left out. One that leaves it later is compared with the
    border there, so that leaving never pays.

    Args:
        scene: the points and the moving scan.
        start_ras: (4, 4) transform of RAS points to start from.
        lever: what the head is turned about.
        level: the first and the last step, and the most steps.

    Returns:
        The transform of RAS points, (4, 4); the start itself where the two scans hardly meet.
    """
    if min(scene.moving.shape) < 2:
        return start_ras
    to_index = np.asarray(scene.world_to_moving @ start_ras, dtype=np.float64)
    there = apply_affine(to_index, scene.points_mm)
    seen = np.asarray(((there >= -0.5) & (there <= np.asarray(scene.moving.shape) - 0.5)).all(axis=1))
    if seen.sum() < max(_FEWEST_POINTS, _LEAST_FRACTION * len(seen)):
        return start_ras
    points, fixed_bins = scene.points_mm[seen], scene.fixed_bins[seen]

    def cost(change: Vector) -> tuple[float, Vector]:
        moved = apply_affine(lever.motion(change), points)
        values, slopes = look_up(scene.moving, apply_affine(to_index, moved))
        information, forces = information_and_forces(fixed_bins, values, scene.bins)
        in_mm = (slopes * forces[:, None]) @ to_index[:3, :3]
        return -information, -lever.pull(change, moved - lever.center_mm - change[3:], in_mm)

    change = descend(cost, np.zeros(6), level.first_step_mm, level.iterations, last_step=level.last_step_mm)
    return np.asarray(start_ras @ lever.motion(change), dtype=np.float64)


def _left_jacobian(vector: Points) -> Matrix:
    """Return how a turn moves on, (3, 3), as its rotation vector changes."""
    angle = float(np.sqrt((vector**2).sum()))
    cross = np.cross(np.eye(3), vector)  # cross @ v is vector x v
    near = angle < 1e-4
    first = 0.5 if near else (1.0 - np.cos(angle)) / angle**2
    second = 1.0 / 6.0 if near else (angle - np.sin(angle)) / angle**3
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross), dtype=np.float64)
