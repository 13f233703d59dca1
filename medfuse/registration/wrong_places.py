"""How well the scans match where they must not: left for right, and inside the brain a little off.

A scan of this patient matches far worse there. One of another patient, or one that shows too little, does not.
"""

from __future__ import annotations

import numpy as np

from medfuse.geometry import Matrix, Points
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
    information, off = _inside(scans, inner, best, fit, scrutiny)
    figures = {
        **NOTHING_SEEN,
        "symmetry": alike,
        "inner_information": information,
        "inner_flatness": off / max(information, LEAST_SCORE),
    }
    mirrored = see(scans, pose, scrutiny)
    if mirrored is None:
        return figures
    other = fit_all(mirrored, scans, scrutiny, KINDS[:1])["rigid"]
    there, _ = _inside(scans, inner, pose, other, scrutiny)
    return {
        **figures,
        "mirror_share": other.score / max(fit.score, LEAST_SCORE),
        "inner_mirror_share": there / max(information, LEAST_SCORE),
    }


def _inside(scans: Scans, inner: Points, pose: Matrix, fit: WarpFit, scrutiny: Scrutiny) -> tuple[float, float]:
    """Return the mutual information at points inside the brain, in nats, and the mean of it a little off."""
    seen = see_inside(scans, inner, pose, scrutiny)
    if seen is None:
        return 0.0, 0.0
    shift = fit.warp.at(seen.points_mm)
    return seen.table(shift)[1], pushed(seen, shift, scrutiny.inner_push_mm)
