"""How well the scans match where they must not: left for right, and inside the brain a little off.

A scan of this patient matches far worse there. One of another patient, or one that shows too little, does not.
"""

from __future__ import annotations

import numpy as np

from medfuse.geometry import Matrix
from medfuse.registration.correspondence import Correspondence
from medfuse.registration.inner_brain import inner_points, likeness
from medfuse.registration.mirror import symmetry_plane
from medfuse.registration.scans import Scans
from medfuse.registration.scrutiny import Scrutiny
from medfuse.registration.sight import LEAST_SCORE, fit_all, pushed, see, see_inside
from medfuse.registration.surroundings import climb_all
from medfuse.registration.warp_fit import WarpFit
from medfuse.registration.warps import KINDS

NOTHING_SEEN = dict.fromkeys(
    ("symmetry", "mirror_share", "inner_mirror_share", "inner_flatness", "inner_information"), 0.0
)


def weigh_wrong_places(scans: Scans, best: Matrix, fit: WarpFit, scrutiny: Scrutiny) -> dict[str, float]:
    """Look at the scans left for right, and at the middle of the brain a few millimetres off.

    Args:
        scans: the two scans on every level.
        best: (4, 4) the best pose found.
        fit: what the best rigid motion adds to it.
        scrutiny: how closely to look.

    Returns:
        ``symmetry``, ``mirror_share``, ``inner_mirror_share``, ``inner_flatness`` and ``inner_information``, as
        ``Evidence`` describes them.
    """
    pose = climb_all(scans, best @ symmetry_plane(scans)[0], scrutiny)
    inner = inner_points(scans.head_points_mm)
    alike = likeness(scans.pairs[-1].fixed, inner, np.asarray(np.linalg.inv(best) @ pose))
    here = see_inside(scans, inner, best, scrutiny)
    information = _information(here, fit)
    figures = {
        **NOTHING_SEEN,
        "symmetry": alike,
        "inner_information": information,
        "inner_flatness": _a_little_off(here, fit, scrutiny) / max(information, LEAST_SCORE),
    }
    mirrored = see(scans, pose, scrutiny)
    if mirrored is None:
        return figures
    other = fit_all(mirrored, scans, scrutiny, KINDS[:1])["rigid"]
    there = see_inside(scans, inner, pose, scrutiny)
    return {
        **figures,
        "mirror_share": other.score / max(fit.score, LEAST_SCORE),
        "inner_mirror_share": _information(there, other) / max(information, LEAST_SCORE),
    }


def _information(seen: Correspondence | None, fit: WarpFit) -> float:
    """Return the mutual information of what was seen, in nats."""
    return 0.0 if seen is None else seen.table(fit.warp.at(seen.points_mm))[1]


def _a_little_off(seen: Correspondence | None, fit: WarpFit, scrutiny: Scrutiny) -> float:
    """Return the mean of it where the scans are pushed off a little."""
    return 0.0 if seen is None else pushed(seen, fit.warp.at(seen.points_mm), scrutiny.inner_push_mm)
