"""The smooth displacement under which two scans agree best: what a transform has left undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from medfuse.registration.correspondence import Correspondence
from medfuse.registration.information import Array
from medfuse.registration.warps import Warp, closest, displace, pull_back, terms


@dataclass(frozen=True)
class WarpFit:
    """A displacement and how well it does.

    Attributes:
        warp: the displacement.
        score: mean logarithm of joint over independent frequency, in nats, after it.
    """

    warp: Warp
    score: float


def fit_warp(scans: Correspondence, start: Warp, kind: str, rounds: int, steps: int) -> WarpFit:
    """Climb to the displacement with the highest score, learning the table anew in each round.

    Args:
        scans: the two scans under the transform.
        start: displacement to begin from, of the same kind or a simpler one.
        kind: of displacement.
        rounds: how often the table is learnt.
        steps: most steps of the climb (L-BFGS) in a round.

    Returns:
        The displacement.
    """
    points = scans.points_mm
    at = terms(kind, points, start.center_mm, start.radius_mm)
    numbers = closest(kind, start.at(points), points, start.center_mm, start.radius_mm).numbers
    score = 0.0
    for _ in range(rounds):
        table, _ = scans.table(displace(at, kind, numbers))

        def loss(tried: Array, table: Array = table) -> tuple[float, Array]:
            value, slopes = scans.score(table, displace(at, kind, tried))
            return -value, -pull_back(at, kind, slopes)

        found = minimize(loss, numbers, jac=True, method="L-BFGS-B", options={"maxiter": steps, "ftol": 1e-6})
        numbers, score = np.asarray(found.x, dtype=np.float64), -float(found.fun)
    return WarpFit(Warp(kind, start.center_mm, start.radius_mm, numbers), score)
