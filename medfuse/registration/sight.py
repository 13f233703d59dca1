"""Two scans under a transform, looked at as closely as a scrutiny asks."""

from __future__ import annotations

import numpy as np

from medfuse.geometry import Matrix, Points
from medfuse.registration.correspondence import Correspondence, correspond
from medfuse.registration.scans import Scans
from medfuse.registration.scrutiny import Scrutiny
from medfuse.registration.warp_fit import WarpFit, fit_warp
from medfuse.registration.warps import KINDS, Warp

LEAST_SCORE = 1e-3  # nats; smaller scores are none


def see(scans: Scans, pose: Matrix, scrutiny: Scrutiny) -> Correspondence | None:
    """Look at the whole head under a transform, (4, 4); None where the scans hardly meet."""
    pair = scans.pairs[-1]
    return correspond(
        pair.fixed, pair.moving, scans.head_points_mm, pose, scrutiny.bins, scrutiny.points, scrutiny.rim_mm
    )


def see_inside(scans: Scans, points_mm: Points, pose: Matrix, scrutiny: Scrutiny) -> Correspondence | None:
    """Look at points inside the brain, (N, 3), under a transform, (4, 4); None where the scans hardly meet."""
    pair = scans.pairs[-1]
    return correspond(
        pair.fixed, pair.moving, points_mm, pose, scrutiny.inner_bins, scrutiny.inner_points, scrutiny.inner_rim_mm
    )


def fit_all(
    seen: Correspondence, scans: Scans, scrutiny: Scrutiny, kinds: tuple[str, ...] = KINDS
) -> dict[str, WarpFit]:
    """Fit displacements of each kind, each from the simpler one before it; the first from none."""
    pair, fits = scans.pairs[-1], {}
    warp = Warp(kinds[0], pair.center_mm, pair.radius_mm, np.zeros(6))
    for kind in kinds:
        fits[kind] = fit_warp(seen, warp, kind, scrutiny.rounds, scrutiny.steps)
        warp = fits[kind].warp
    return fits


def pushed(seen: Correspondence, shift_mm: Points, push_mm: float) -> float:
    """Return the mean information in nats after a further push along each axis, either way."""
    pushes = np.vstack([np.eye(3), -np.eye(3)]) * push_mm
    return float(np.mean([seen.table(shift_mm + push)[1] for push in pushes]))
