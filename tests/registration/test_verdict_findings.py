"""What figures say: each finding from figures that were made up."""

from __future__ import annotations

import dataclasses

import pytest

from medfuse.registration.evidence import Evidence
from medfuse.registration.findings import FAIL, GRADES, PASS, WARN, Finding, above, below, find
from medfuse.registration.limits import Limit, Limits, load_limits
from medfuse.registration.verdict import estimate_error

GOOD = Evidence(
    overlap=1.0,
    information=0.40,
    information_best=0.41,
    information_pushed=0.10,
    coarse_gain=0.01,
    remaining_mm=0.6,
    climbed_mm=0.4,
    estimates_apart_mm=0.3,
    scale_mm=0.1,
    scale_gain=0.002,
    shape_mm=0.1,
    shape_gain=0.002,
    bend_mm=0.4,
    bend_gain=0.01,
    wanted_mm=0.8,
    mirror_share=0.5,
    inner_mirror_share=0.3,
    inner_flatness=0.5,
    inner_information=0.3,
    symmetry=0.5,
    scale_error=0.0,
    mirrored=0.0,
    turn_degrees=5.0,
    moved_mm=10.0,
    head_radius_mm=75.0,
)


@pytest.fixture(scope="module")
def limits() -> Limits:
    return load_limits()


def found(limits: Limits, *, rigid: bool = True, **figures: float) -> list[Finding]:
    evidence = dataclasses.replace(GOOD, **figures)
    return find(evidence, estimate_error(evidence, limits), limits, rigid)


def test_good_figures_pass_with_one_sentence(limits: Limits) -> None:
    (finding,) = found(limits)
    assert finding.grade == PASS
    assert finding.sentence.startswith("Estimated error 0.7 mm")


CASES = [
    (FAIL, "covers 20%", {"overlap": 0.2}),
    (WARN, "covers 60%", {"overlap": 0.6}),
    (FAIL, "nothing in common", {"information_best": 0.01}),
    (FAIL, "Poses 12 mm off", {"information_pushed": 0.4}),
    (WARN, "Poses 12 mm off", {"information_pushed": 0.28}),
    (WARN, "Two ways", {"estimates_apart_mm": 3.0}),
    (FAIL, "may be mirrored", {"mirror_share": 1.3}),
    (FAIL, "may be mirrored", {"inner_mirror_share": 1.5}),
    (WARN, "as well left for right, though", {"mirror_share": 1.05}),
    (WARN, "match 69% as well", {"inner_mirror_share": 1.0, "inner_flatness": 0.8, "mirror_share": 0.7}),
    (WARN, "share the outline", {"mirror_share": 1.0, "information_pushed": 0.23, "inner_information": 0.02}),
    (WARN, "changed its shape", {"shape_mm": 1.5, "shape_gain": 0.1}),
    (FAIL, "changed its shape", {"bend_mm": 5.0}),
    (FAIL, "changed its size", {"scale_mm": 5.0, "scale_gain": 0.2}),
    (FAIL, "left into right", {"mirrored": 1.0}),
    (FAIL, "stretches the head", {"scale_error": 0.2}),
    (WARN, "120 degrees", {"turn_degrees": 120.0}),
    (FAIL, "the transform is wrong", {"remaining_mm": 9.0}),
    (WARN, "several millimetres off", {"climbed_mm": 4.0}),
]


@pytest.mark.parametrize(("grade", "words", "figures"), CASES, ids=[f"{words}: {grade}" for grade, words, _ in CASES])
def test_one_bad_figure_is_said_and_graded(limits: Limits, grade: str, words: str, figures: dict[str, float]) -> None:
    gravest = found(limits, **figures)[0]
    said = [finding for finding in found(limits, **figures) if words in finding.sentence]
    assert [finding.grade for finding in said] == [grade]
    assert GRADES.index(gravest.grade) >= GRADES.index(grade)


def test_a_stretch_is_no_fault_of_an_affine_transform(limits: Limits) -> None:
    assert found(limits, rigid=False, scale_error=0.2)[0].grade == PASS


def test_a_change_of_shape_that_gains_nothing_says_nothing(limits: Limits) -> None:
    assert found(limits, shape_mm=2.5, shape_gain=0.0)[0].grade == PASS
    assert found(limits, scale_mm=2.5, scale_gain=0.0)[0].grade == PASS


def test_a_nearly_symmetric_head_is_said_to_be_so_and_does_not_fail_for_it(limits: Limits) -> None:
    findings = found(limits, symmetry=0.97, mirror_share=0.96)
    assert all(finding.grade == PASS for finding in findings)
    assert "left and right are exchanged cannot be told" in findings[0].sentence


def test_of_scans_that_share_their_outline_only_the_inside_is_not_asked(limits: Limits) -> None:
    figures = {"mirror_share": 0.95, "information_pushed": 0.54 * GOOD.information_best, "inner_mirror_share": 1.0}
    assert found(limits, inner_information=0.02, **figures)[0].grade == PASS
    assert "share the outline" in found(limits, inner_information=0.02, shape_mm=0.65, **figures)[0].sentence
    assert found(limits, inner_information=0.2, **figures)[0].grade == WARN


def test_the_gravest_comes_first_and_trifles_are_left_out(limits: Limits) -> None:
    findings = found(limits, mirrored=1.0, estimates_apart_mm=3.0)
    assert [finding.grade for finding in findings] == [FAIL, WARN]


def test_limits_grade_either_way() -> None:
    limit = Limit(1.0, 2.0)
    assert [above(value, limit) for value in (1.0, 1.5, 2.5)] == [PASS, WARN, FAIL]
    assert [below(value, Limit(2.0, 1.0)) for value in (2.0, 1.5, 0.5)] == [PASS, WARN, FAIL]


def test_every_limit_warns_before_it_fails(limits: Limits) -> None:
    falling = {"information", "overlap"}
    for field in dataclasses.fields(Limits):
        limit = getattr(limits, field.name)
        if isinstance(limit, Limit):
            assert (limit.warn > limit.fail) if field.name in falling else (limit.warn < limit.fail), field.name


def test_the_error_is_the_larger_estimate_and_the_bend_at_right_angles(limits: Limits) -> None:
    evidence = dataclasses.replace(GOOD, remaining_mm=3.0, climbed_mm=1.0, bend_mm=4.0)
    assert estimate_error(evidence, limits) == pytest.approx(5.0)
    evidence = dataclasses.replace(GOOD, remaining_mm=1.0, climbed_mm=12.0, bend_mm=5.0)
    assert estimate_error(evidence, limits) == pytest.approx(13.0)


@pytest.mark.parametrize(
    "figures", [{"information_pushed": 0.4}, {"information_best": 0.01}, {"overlap": 0.1}, {"mirror_share": 1.3}]
)
def test_where_nothing_can_be_believed_the_error_is_as_large_as_the_head(
    limits: Limits, figures: dict[str, float]
) -> None:
    assert estimate_error(dataclasses.replace(GOOD, **figures), limits) == pytest.approx(75.0)
