"""Whether a better pose lies near a given one, farther off, or anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points
from medfuse.registration.correspondence import correspond
from medfuse.registration.poses import Pose, best_of_each_turn
from medfuse.registration.refine import refine
from medfuse.registration.scans import Scans
from medfuse.registration.scrutiny import Scrutiny
from medfuse.registration.starts import about_centers, make_starts, rotation

_SHIFTS_MM = (15.0, 30.0)
_TURNS_DEGREES = (20.0, 40.0, 180.0)


@dataclass(frozen=True)
class Surroundings:
    """The best pose that was found, and how it compares.

    Attributes:
        best: (4, 4) transform of RAS points.
        coarse_here: score of the transform itself on the coarse level, in nats.
        coarse_best: that of the best pose.
    """

    best: Matrix
    coarse_here: float
    coarse_best: float


def look_around(scans: Scans, fixed_to_moving_ras: Matrix, scrutiny: Scrutiny) -> Surroundings:
    """Climb from a transform, from poses around it and from poses that do not depend on it, and keep the best.

    Args:
        scans: the two scans.
        fixed_to_moving_ras: (4, 4) transform to begin from; it may stretch or mirror, which is kept.
        scrutiny: how closely to look.

    Returns:
        The best pose, refined on all levels.
    """
    score = _coarse_score(scans, scrutiny)
    here = fixed_to_moving_ras
    center = scans.head_points_mm.mean(axis=0)
    elsewhere = sorted((here @ push for push in pushes(center)), key=lambda pose: -score(pose))
    near = max((here, _climb(scans, scrutiny, 0, here)), key=score)
    promising = [*elsewhere[: scrutiny.refined], *_anywhere(scans, scrutiny, score)[: scrutiny.refined]]
    far = max((_climb(scans, scrutiny, 0, pose) for pose in promising), key=score)
    best = far if score(far) * (1.0 - scrutiny.tie) > score(near) else near
    coarse_best = score(best)
    return Surroundings(climb_on(scans, best, scrutiny), score(here), coarse_best)


def _anywhere(scans: Scans, scrutiny: Scrutiny, score: Callable[[Matrix], float]) -> list[Matrix]:
    """Return the starts of a search over all poses, one for each turn, best first."""
    starts = make_starts(scans.center_pairs, scrutiny.rotation_degrees)
    poses = [Pose(start.name, start.fixed_to_moving_ras, score(start.fixed_to_moving_ras), 1.0) for start in starts]
    return [pose.fixed_to_moving_ras for pose in best_of_each_turn(poses)]


def climb_on(scans: Scans, pose: Matrix, scrutiny: Scrutiny) -> Matrix:
    """Refine a pose on all levels but the coarsest."""
    for number in range(1, len(scans.pairs)):
        pose = _climb(scans, scrutiny, number, pose)
    return pose


def climb_all(scans: Scans, pose: Matrix, scrutiny: Scrutiny) -> Matrix:
    """Refine a pose on all levels."""
    return climb_on(scans, _climb(scans, scrutiny, 0, pose), scrutiny)


def pushes(center_mm: Points) -> Iterator[Matrix]:
    """Yield motions, (4, 4), that shift along, or turn about, each axis through a point."""
    for axis in np.eye(3):
        for sign in (-1.0, 1.0):
            for shift in _SHIFTS_MM:
                yield about_centers(np.eye(3), center_mm, center_mm + sign * shift * axis)
            for degrees in _TURNS_DEGREES:
                yield about_centers(rotation(np.radians(sign * degrees * axis)), center_mm, center_mm)


def _climb(scans: Scans, scrutiny: Scrutiny, number: int, pose: Matrix) -> Matrix:
    level = scrutiny.climbs[min(number, len(scrutiny.climbs) - 1)]
    return refine(scans.pairs[number], pose, level, scrutiny.bins, 1)


def _coarse_score(scans: Scans, scrutiny: Scrutiny) -> Callable[[Matrix], float]:
    """Return a function from a transform to mutual information times the share of the head that is seen."""
    pair = scans.pairs[0]
    points = scans.head_points_mm

    def score(pose: Matrix) -> float:
        seen = correspond(
            pair.fixed, pair.moving, points, pose, scrutiny.bins, scrutiny.coarse_points, 2 * scrutiny.rim_mm
        )
        return 0.0 if seen is None else seen.table()[1] * seen.seen_share

    return score
