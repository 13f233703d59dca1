"""From a good pose to the very peak: up the exact slope of mutual information."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.descent import Vector, descend
from medfuse.registration.information import Scene, thin
from medfuse.registration.native import usable_loops
from medfuse.registration.parzen import Samples
from medfuse.registration.presets import Level

_FEWEST_POINTS = 100
_LEAST_FRACTION = 0.1
_LEAST_GAIN = 1e-6  # nats; a step that gains less is the last
_MANY_POINTS = 20_000
_THINNING = 6
_LATER_STEP = 0.1  # of the first step
_STILL = np.eye(3)
_NO_ANGLE = 1e-4  # below, the quotients would lose their digits


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
        matrix[:3, :3] = turn = _turn(change[:3] / self.radius_mm)[0]
        matrix[:3, 3] = self.center_mm + change[3:] - turn @ self.center_mm
        return matrix

    def pull(self, change: Vector, by_entries: Matrix) -> Vector:
        """Return the derivative by the change, (6,), of what has a derivative by the entries of the motion.

        Args:
            change: (6,) as for ``motion``.
            by_entries: (3, 4) derivatives by the upper rows of the motion.
        """
        turn, progress = _turn(change[:3] / self.radius_mm)
        about_center = by_entries[:, :3] - by_entries[:, 3:] * self.center_mm
        (_, xy, xz), (yx, _, yz), (zx, zy, _) = about_center @ turn.T
        torque = np.array([zy - yz, xz - zx, yx - xy])
        return np.concatenate([torque @ progress / self.radius_mm, by_entries[:, 3]])


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
    seen = inside_grid(there, scene.moving.shape)
    if seen.sum() < max(_FEWEST_POINTS, _LEAST_FRACTION * len(seen)):
        return start_ras
    points, fixed_bins = scene.points_mm[seen], scene.fixed_bins[seen]
    change, first_step = np.zeros(6), level.first_step_mm
    if len(points) > _MANY_POINTS:  # most of the way is gone with fewer
        few = thin(np.arange(len(points)), len(points) // _THINNING)
        samples = Samples(points[few], fixed_bins[few], scene.moving, scene.bins)
        change = _climb(samples, to_index, lever, change, first_step, level)
        first_step *= _LATER_STEP
    samples = Samples(points, fixed_bins, scene.moving, scene.bins)
    change = _climb(samples, to_index, lever, change, first_step, level)
    return np.asarray(start_ras @ lever.motion(change), dtype=np.float64)


def _climb(
    samples: Samples, to_index: Matrix, lever: Lever, change: Vector, first_step_mm: float, level: Level
) -> Vector:
    """Climb from a change of the pose to the one with the most mutual information nearby."""
    loops = usable_loops()
    if loops is not None:
        how = first_step_mm, level.last_step_mm, _LEAST_GAIN, level.iterations
        return samples.compiled.climb(loops, to_index, lever.center_mm, lever.radius_mm, change, *how)

    def cost(change: Vector) -> tuple[float, Vector]:
        information, by_entries = samples.under(np.asarray(to_index @ lever.motion(change), dtype=np.float64))
        return -information, -lever.pull(change, to_index[:3, :3].T @ by_entries)

    return descend(cost, change, first_step_mm, level.iterations, _LEAST_GAIN, level.last_step_mm)


def _turn(vector: Points) -> tuple[Matrix, Matrix]:
    """Return the (3, 3) turn by a rotation vector, and how it moves on, (3, 3), as the vector changes."""
    x, y, z = vector.tolist()
    angle = math.sqrt(x * x + y * y + z * z)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])  # cross @ v is vector x v
    near = angle < _NO_ANGLE
    sine = 1.0 - angle**2 / 6.0 if near else math.sin(angle) / angle
    bend = 0.5 - angle**2 / 24.0 if near else (1.0 - math.cos(angle)) / angle**2
    rest = 1.0 / 6.0 if near else (1.0 - sine) / angle**2
    square = cross @ cross
    return _STILL + sine * cross + bend * square, _STILL + bend * cross + rest * square
