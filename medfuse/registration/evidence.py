"""What speaks for and against a transform: the figures on which a verdict rests."""

from __future__ import annotations

from dataclasses import dataclass

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.images import affine_of
from medfuse.registration.overlap import inside_fraction
from medfuse.registration.plausibility import weigh_matrix
from medfuse.registration.poses import displacement_mm
from medfuse.registration.scans import Scans
from medfuse.registration.scrutiny import Scrutiny
from medfuse.registration.sight import LEAST_SCORE, fit_all, pushed, see
from medfuse.registration.surroundings import look_around
from medfuse.registration.warp_fit import WarpFit
from medfuse.registration.warps import mean_length, without
from medfuse.registration.wrong_places import NOTHING_SEEN, weigh_wrong_places


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
        inner_flatness: mutual information there over poses pushed off the best one by 4 mm, over that as it is.
        inner_information: that as it is, in nats.
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
    inner_flatness: float
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
        return self.information_pushed / max(self.information_best, LEAST_SCORE)

    @property
    def outer_likeness(self) -> float:
        """How well wrong places match, 12 mm off or left for right, as a share of the best one."""
        return (self.flatness + self.mirror_share) / 2.0

    @property
    def likeness(self) -> float:
        """The same, and inside the brain 4 mm off or left for right: the mean of all four."""
        return (2.0 * self.outer_likeness + self.inner_flatness + self.inner_mirror_share) / 4.0

    @property
    def inner_share(self) -> float:
        """What the scans share inside the brain, over what they share all over."""
        return self.inner_information / max(self.information_best, LEAST_SCORE)


UNKNOWN_MM = 100.0  # nothing in the scans says where the head is
_EVERY = 4  # of the points of the head, that lengths are averaged over
_NOTHING_SEEN = {
    **NOTHING_SEEN,
    **dict.fromkeys(("remaining_mm", "climbed_mm", "estimates_apart_mm", "wanted_mm"), UNKNOWN_MM),
    **dict.fromkeys(("information_best", "information_pushed", "scale_mm", "scale_gain", "shape_mm"), 0.0),
    **dict.fromkeys(("shape_gain", "bend_mm", "bend_gain"), 0.0),
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
    best = see(scans, around.best, scrutiny)
    figures = _of_the_matrix(scans, fixed_to_moving_ras)
    here = see(scans, fixed_to_moving_ras, scrutiny)
    figures["information"] = 0.0 if here is None else here.table()[1]
    figures["coarse_gain"] = around.coarse_best / max(around.coarse_here, LEAST_SCORE) - 1.0
    if best is None:
        return Evidence(**figures, **_NOTHING_SEEN)
    fits = fit_all(best, scans, scrutiny)
    figures |= _of_the_fits(fits, around.best, fixed_to_moving_ras, scans.head_points_mm[::_EVERY])
    shift = fits["rigid"].warp.at(best.points_mm)
    figures["information_best"] = best.table(shift)[1]
    figures["information_pushed"] = pushed(best, shift, scrutiny.push_mm)
    return Evidence(**figures, **weigh_wrong_places(scans, around.best, fits["rigid"], scrutiny))


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
    scores = {kind: max(fit.score, LEAST_SCORE) for kind, fit in fits.items()}
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
