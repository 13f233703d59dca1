"""What speaks for and against a transform: the figures on which a verdict rests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.correspondence import Correspondence, correspond
from medfuse.registration.images import affine_of
from medfuse.registration.inner_brain import inner_points, likeness
from medfuse.registration.mirror import symmetry_plane
from medfuse.registration.overlap import inside_fraction
from medfuse.registration.plausibility import weigh_matrix
from medfuse.registration.poses import displacement_mm
from medfuse.registration.scans import Scans
from medfuse.registration.scrutiny import Scrutiny
from medfuse.registration.surroundings import climb_all, look_around
from medfuse.registration.warp_fit import WarpFit, fit_warp
from medfuse.registration.warps import KINDS, Warp, mean_length, without


@dataclass(frozen=True)
class Evidence:
    """The figures that a verdict rests on; lengths are means over the fixed head.

    Attributes:
        overlap: fraction 0 .. 1 of the fixed head that lies inside the moving scan.
        information: mutual information in nats under the transform.
        information_best: the same at the best pose found.
        information_pushed: mean over poses pushed off the best one by 12 mm.
        coarse_gain: by what fraction the best pose beats the transform on the coarse level.
        remaining_mm: distance from the transform to the best rigid pose, by the table of values.
        climbed_mm: the same by the climb of Mattes' mutual information: a second estimate.
        estimates_apart_mm: distance between the two.
        scale_mm: what a change of size alike in all directions adds to the best rigid pose.
        scale_gain: by what fraction it raises the score.
        shape_mm: what an affine displacement adds to that.
        shape_gain: by what fraction it raises the score.
        bend_mm: what a quadratic displacement adds to a change of size.
        bend_gain: by what fraction it raises the score.
        wanted_mm: length of the whole quadratic displacement, from the transform.
        mirror_share: score of the moving scan left for right over the score as it is.
        inner_mirror_share: mutual information in the middle of the brain left for right, over that as it is.
        inner_information: the latter, in nats.
        symmetry: correlation -1 .. 1 of the middle of the fixed brain with its own mirror image.
        scale_error: largest departure from 1 of the stretches in the matrix.
        mirrored: 1.0 if the matrix turns left into right, else 0.0.
        turn_degrees: angle by which the matrix turns the head.
        moved_mm: distance by which it moves the head.
        head_radius_mm: root mean square distance of the fixed head from its middle.
    """

    overlap: float
    information: float
    information_best: float
    information_pushed: float
    coarse_gain: float
    remaining_mm: float
    climbed_mm: float
    estimates_apart_mm: float
    scale_mm: float
    scale_gain: float
    shape_mm: float
    shape_gain: float
    bend_mm: float
    bend_gain: float
    wanted_mm: float
    mirror_share: float
    inner_mirror_share: float
    inner_information: float
    symmetry: float
    scale_error: float
    mirrored: float
    turn_degrees: float
    moved_mm: float
    head_radius_mm: float

    @property
    def flatness(self) -> float:
        """How well poses 12 mm off the best one match, as a share of how well it matches itself."""
        return self.information_pushed / max(self.information_best, _LEAST_SCORE)


UNKNOWN_MM = 100.0  # nothing in the scans says where the head is
_LEAST_SCORE = 1e-3  # nats; smaller scores are none
_EVERY = 4  # of the points of the head, that lengths are averaged over
_NOTHING_SEEN = {
    **dict.fromkeys(("remaining_mm", "climbed_mm", "estimates_apart_mm", "wanted_mm"), UNKNOWN_MM),
    **dict.fromkeys(("information_best", "information_pushed", "scale_mm", "scale_gain", "shape_mm"), 0.0),
    **dict.fromkeys(("shape_gain", "bend_mm", "bend_gain", "mirror_share", "symmetry"), 0.0),
    **dict.fromkeys(("inner_mirror_share", "inner_information"), 0.0),
}


def gather(scans: Scans, fixed_to_moving_ras: Matrix, scrutiny: Scrutiny) -> Evidence:
    """Look at two scans under a transform.

    Args:
        scans: the two scans on every level.
        fixed_to_moving_ras: (4, 4) transform to look at.
        scrutiny: how closely.

    Returns:
        The figures.
    """
    around = look_around(scans, fixed_to_moving_ras, scrutiny)
    best = _see(scans, around.best, scrutiny)
    figures = _of_the_matrix(scans, fixed_to_moving_ras)
    here = _see(scans, fixed_to_moving_ras, scrutiny)
    figures["information"] = 0.0 if here is None else here.table()[1]
    figures["coarse_gain"] = around.coarse_best / max(around.coarse_here, _LEAST_SCORE) - 1.0
    if best is None:
        return Evidence(**figures, **_NOTHING_SEEN)
    fits = _fit_all(best, _still(scans), scrutiny)
    figures |= _of_the_fits(fits, around.best, fixed_to_moving_ras, scans.head_points_mm[::_EVERY])
    shift = fits["rigid"].warp.at(best.points_mm)
    figures["information_best"] = best.table(shift)[1]
    figures["information_pushed"] = _pushed(best, shift, scrutiny.push_mm)
    return Evidence(**figures, **_of_the_mirror(scans, around.best, fits["rigid"], scrutiny))


def _of_the_mirror(scans: Scans, best: Matrix, fit: WarpFit, scrutiny: Scrutiny) -> dict[str, float]:
    """Return how well the moving scan fits left for right, over the whole head and in the middle of the brain."""
    pose = climb_all(scans, best @ symmetry_plane(scans)[0], scrutiny)
    mirrored = _see(scans, pose, scrutiny)
    inner = inner_points(scans.head_points_mm)
    reflection = np.asarray(np.linalg.inv(best) @ pose)
    figures = {"symmetry": likeness(scans.pairs[-1].fixed, inner, reflection)}
    if mirrored is None:
        return {**figures, "mirror_share": 0.0, "inner_mirror_share": 0.0, "inner_information": 0.0}
    other = _fit_all(mirrored, _still(scans), scrutiny, KINDS[:1])["rigid"]
    here, there = (_inner_information(scans, inner, *pair, scrutiny) for pair in ((best, fit), (pose, other)))
    return {
        **figures,
        "mirror_share": other.score / max(fit.score, _LEAST_SCORE),
        "inner_mirror_share": there / max(here, _LEAST_SCORE),
        "inner_information": here,
    }


def _inner_information(scans: Scans, inner: Points, pose: Matrix, fit: WarpFit, scrutiny: Scrutiny) -> float:
    """Return the mutual information at points inside the brain, in nats."""
    pair = scans.pairs[-1]
    seen = correspond(
        pair.fixed, pair.moving, inner, pose, scrutiny.inner_bins, scrutiny.inner_points, scrutiny.inner_rim_mm
    )
    return 0.0 if seen is None else seen.table(fit.warp.at(seen.points_mm))[1]


def _of_the_matrix(scans: Scans, matrix: Matrix) -> dict[str, float]:
    """Return what the transform itself shows."""
    head, moving = scans.head_points_mm, scans.pairs[-1].moving
    plausible = weigh_matrix(matrix, head)
    return {
        "overlap": inside_fraction(apply_affine(matrix, head), moving.GetSize(), affine_of(moving)),
        "scale_error": plausible.scale_error,
        "mirrored": float(plausible.mirrored),
        "turn_degrees": plausible.turn_degrees,
        "moved_mm": plausible.moved_mm,
        "head_radius_mm": scans.pairs[-1].radius_mm,
    }


def _of_the_fits(fits: dict[str, WarpFit], best: Matrix, given: Matrix, points: Points) -> dict[str, float]:
    """Return how far the transform is from the best displacements of each kind, and what each of them gains."""
    shifts = {kind: fit.warp.at(points) for kind, fit in fits.items()}
    scores = {kind: max(fit.score, _LEAST_SCORE) for kind, fit in fits.items()}
    start = apply_affine(given, points)
    return {
        "remaining_mm": mean_length(apply_affine(best, points + shifts["rigid"]) - start),
        "climbed_mm": displacement_mm(best, given, points),
        "estimates_apart_mm": mean_length(shifts["rigid"]),
        "scale_mm": mean_length(without("rigid", shifts["similar"], points)),
        "scale_gain": scores["similar"] / scores["rigid"] - 1.0,
        "shape_mm": mean_length(without("similar", shifts["affine"], points)),
        "shape_gain": scores["affine"] / scores["similar"] - 1.0,
        "bend_mm": mean_length(without("similar", shifts["quadratic"], points)),
        "bend_gain": scores["quadratic"] / scores["similar"] - 1.0,
        "wanted_mm": mean_length(apply_affine(best, points + shifts["quadratic"]) - start),
    }


def _see(scans: Scans, pose: Matrix, scrutiny: Scrutiny) -> Correspondence | None:
    pair = scans.pairs[-1]
    return correspond(
        pair.fixed, pair.moving, scans.head_points_mm, pose, scrutiny.bins, scrutiny.points, scrutiny.rim_mm
    )


def _still(scans: Scans) -> Warp:
    """Return the displacement by nothing."""
    pair = scans.pairs[-1]
    return Warp(KINDS[0], pair.center_mm, pair.radius_mm, np.zeros(6))


def _fit_all(
    seen: Correspondence, warp: Warp, scrutiny: Scrutiny, kinds: tuple[str, ...] = KINDS
) -> dict[str, WarpFit]:
    """Fit displacements of each kind, each from the simpler one before it."""
    fits = {}
    for kind in kinds:
        fits[kind] = fit_warp(seen, warp, kind, scrutiny.rounds, scrutiny.steps)
        warp = fits[kind].warp
    return fits


def _pushed(seen: Correspondence, shift_mm: Points, push_mm: float) -> float:
    """Return the mean information after a further push along each axis, either way."""
    pushes = np.vstack([np.eye(3), -np.eye(3)]) * push_mm
    return float(np.mean([seen.table(shift_mm + push)[1] for push in pushes]))
