"""What the evidence says, in plain sentences, and how grave each is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from medfuse.registration.evidence import Evidence
from medfuse.registration.limits import Limit, Limits

ERROR_TOLD = "Estimated error"  # how the sentence begins that states it
PASS, WARN, FAIL = GRADES = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes:
        grade: what it makes of the verdict, ``"pass"``, ``"warn"`` or ``"fail"``.
        sentence: what was seen and what it suggests.
    """

    grade: str
    sentence: str


def find(evidence: Evidence, error_mm: float, limits: Limits, rigid: bool) -> list[Finding]:
    """Compare every figure with its limit.

    Args:
        evidence: the figures.
        error_mm: the estimated error.
        limits: where doubt begins.
        rigid: the transform is meant to be a rigid motion.

    Returns:
        The findings, the gravest first; at least one.
    """
    checks = (_of_the_overlap, _of_the_peak, _of_the_mirror, _of_the_identity, _of_the_shape, _of_the_matrix)
    found = [finding for check in checks for finding in check(evidence, limits, rigid)]
    found.append(_of_the_error(evidence, error_mm, limits))
    found = sorted(found, key=lambda finding: -GRADES.index(finding.grade))
    worst = found[0].grade
    return [finding for finding in found if finding.grade == worst or finding.grade != PASS]


def above(value: float, limit: Limit) -> str:
    """Grade a figure of which more is worse."""
    return FAIL if value > limit.fail else WARN if value > limit.warn else PASS


def below(value: float, limit: Limit) -> str:
    """Grade a figure of which less is worse."""
    return FAIL if value < limit.fail else WARN if value < limit.warn else PASS


def _of_the_error(evidence: Evidence, error_mm: float, limits: Limits) -> Finding:
    grade = above(error_mm, limits.error_mm)
    seen = f"moving the scan by {evidence.remaining_mm:.1f} mm on average would match it best"
    meaning = {
        PASS: "the transform is about as good as the scans can tell",
        WARN: "the transform may be several millimetres off",
        FAIL: "the transform is wrong",
    }
    return Finding(grade, f"{ERROR_TOLD} {error_mm:.1f} mm: {seen}; {meaning[grade]}.")


def _of_the_overlap(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    grade = below(evidence.overlap, limits.overlap)
    if grade != PASS:
        meaning = "too little to judge by" if grade == FAIL else "the rest of it cannot be judged"
        yield Finding(grade, f"The moving scan covers {evidence.overlap:.0%} of the fixed head: {meaning}.")


def _of_the_peak(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    grade = below(evidence.information_best, limits.information)
    if grade != PASS:
        sentence = "The two scans have next to nothing in common: one may show noise, a couch or another region."
        yield Finding(grade, sentence)
        return
    grade = above(evidence.flatness, limits.flatness)
    if grade != PASS:
        sentence = (
            f"Poses 12 mm off match {evidence.flatness:.0%} as well as the best one: the scans do not lock into place, "
            f"as with another patient, an uncorrected gantry tilt or a false optimum."
        )
        yield Finding(grade, sentence)
    grade = above(evidence.estimates_apart_mm, limits.apart_mm)
    if grade != PASS:
        sentence = (
            f"Two ways to find the best pose end {evidence.estimates_apart_mm:.1f} mm apart: "
            f"where the head lies in the moving scan is uncertain."
        )
        yield Finding(grade, sentence)


def _of_the_mirror(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    grade = above(evidence.mirror_share, limits.mirror_share)
    if evidence.symmetry >= limits.symmetry:
        yield Finding(grade, "The head is nearly symmetric: whether left and right are exchanged cannot be told.")
    elif grade == FAIL or evidence.inner_mirror_share > limits.inner_mirror_share:
        sentence = "The moving scan fits better left for right: it may be mirrored. Check the side with the patient."
        yield Finding(FAIL, sentence)
    elif grade == WARN:
        yield Finding(WARN, "The moving scan fits as well left for right, though the head is not symmetric.")


def _of_the_identity(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    outline = evidence.outer_likeness > limits.outline_likeness and evidence.inner_share < limits.outline_share
    if outline and (evidence.outer_likeness > limits.outer_likeness or evidence.shape_mm > limits.outline_shape_mm):
        sentence = "The scans share the outline of the head and little else, and the outlines do not match closely"
        yield Finding(WARN, f"{sentence}: this may be another patient's scan, or a wrong side.")
    elif not outline and evidence.likeness > limits.likeness:
        sentence = f"Places a little off, or left for right, match {evidence.likeness:.0%} as well as the best one"
        yield Finding(WARN, f"{sentence}: this may be another patient's scan, a wrong side, or too little to tell by.")


def _of_the_shape(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    shape = _weaker(
        above(evidence.shape_mm, limits.shape_mm), above(evidence.shape_mm * evidence.shape_gain, limits.shape_evidence)
    )
    bend = above(evidence.bend_mm, limits.bend_mm)
    size = _weaker(
        above(evidence.scale_mm, limits.scale_mm), above(evidence.scale_mm * evidence.scale_gain, limits.scale_evidence)
    )
    if shape != PASS or bend != PASS:
        amount = max(evidence.shape_mm, evidence.bend_mm)
        sentence = (
            f"The heads would match better if one changed its shape by {amount:.1f} mm: "
            f"another patient, an uncorrected gantry tilt, or anatomy that moved between the scans."
        )
        yield Finding(max(shape, bend, key=GRADES.index), sentence)
    if size != PASS:
        sentence = (
            f"The heads would match better if one changed its size by {evidence.scale_mm:.1f} mm: "
            f"another patient, or a wrong voxel size."
        )
        yield Finding(size, sentence)


def _weaker(*grades: str) -> str:
    """Return the mildest of some grades: what all of them agree on."""
    return min(grades, key=GRADES.index)


def _of_the_matrix(evidence: Evidence, limits: Limits, rigid: bool) -> Iterator[Finding]:
    if evidence.mirrored:
        yield Finding(FAIL, "The transform turns left into right.")
    grade = above(evidence.scale_error, limits.scale_error)
    if rigid and grade != PASS:
        yield Finding(
            grade, f"The transform stretches the head by up to {evidence.scale_error:.1%}; a rigid one must not."
        )
    grade = above(evidence.turn_degrees, limits.turn_degrees)
    if grade != PASS:
        sentence = f"The transform turns the head by {evidence.turn_degrees:.0f} degrees: unlikely between two scans."
        yield Finding(grade, sentence)
