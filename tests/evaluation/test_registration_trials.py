"""What is planted: within the cell, the same whatever else is compared, and nothing but the affine changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medfuse.errors import OptionError
from medfuse.evaluation.registration_options import CELLS, Cell, RegistrationBenchmarkOptions, modalities_of
from medfuse.evaluation.registration_subjects import PhantomHead, Study, phantom_heads, study_of
from medfuse.evaluation.registration_trials import Trial, draw_rigid, plan, plant
from medfuse.geometry import apply_affine
from medfuse.metrics.alignment import rotation_error_degrees

CENTER = np.array([10.0, -40.0, 900.0])


@pytest.fixture
def study() -> Study:
    """Return two volumes whose headers are wrong by a known transform."""
    true = draw_rigid(np.random.default_rng(5), Cell(40, 50), CENTER)
    points = CENTER + np.random.default_rng(6).normal(0.0, 60.0, (500, 3))
    grid = np.diag([2.0, -3.0, 4.0, 1.0])
    return Study(torch.ones(4, 5, 6), np.eye(4), torch.rand(6, 5, 4), true @ grid, true, points)


def trial(pair: str = "MR-CT", cell: Cell = CELLS[1], number: int = 0, seed: int = 0) -> Trial:
    return Trial(pair, cell, number, seed, PhantomHead(0, "MR_T1", "CT"))


def test_a_planted_transform_is_rigid_and_fills_its_cell() -> None:
    random, cell = np.random.default_rng(0), Cell(30, 20)
    drawn = [draw_rigid(random, cell, CENTER) for _ in range(400)]
    angles = np.array([rotation_error_degrees(matrix, np.eye(4)) for matrix in drawn])
    shifts = np.array([np.linalg.norm(apply_affine(matrix, CENTER) - CENTER) for matrix in drawn])
    for matrix in drawn:
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1.0)
    for values, most in ((angles, 30.0), (shifts, 20.0)):
        assert values.max() <= most + 1e-6
        np.testing.assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]) / most, [0.25, 0.5, 0.75], atol=0.08)


def test_turns_go_about_every_axis() -> None:
    random = np.random.default_rng(0)
    turns = [draw_rigid(random, Cell(90, 0), CENTER)[:3, :3] for _ in range(400)]
    axes = np.array([[turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]] for turn in turns])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    np.testing.assert_allclose(axes.mean(axis=0), 0.0, atol=0.1)
    np.testing.assert_allclose(axes.T @ axes / len(axes), np.eye(3) / 3.0, atol=0.08)


def test_only_the_affine_of_the_moving_volume_changes(study: Study) -> None:
    planted = plant(study, trial())
    assert planted.moving is study.moving
    assert planted.fixed is study.fixed
    np.testing.assert_array_equal(planted.fixed_affine_ras, study.fixed_affine_ras)
    np.testing.assert_array_equal(planted.points_mm, study.points_mm)


def test_the_truth_follows_the_planted_affine(study: Study) -> None:
    """A fixed point is seen at the same voxel of the moving volume before and after."""
    planted = plant(study, trial())
    before, after = (
        apply_affine(np.linalg.inv(each.moving_affine_ras) @ each.fixed_to_moving_ras, each.points_mm)
        for each in (study, planted)
    )
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_no_trial_is_harder_than_its_cell(study: Study) -> None:
    """What was wrong in the headers before does not add up with what is planted."""
    for number in range(30):
        true = plant(study, trial(cell=Cell(5, 4), number=number)).fixed_to_moving_ras
        middle = study.points_mm.mean(axis=0)
        assert rotation_error_degrees(true, np.eye(4)) <= 5.0 + 1e-6
        assert np.linalg.norm(apply_affine(true, middle) - middle) <= 4.0 + 1e-6


def test_each_trial_has_a_stream_of_its_own() -> None:
    different = [
        trial(),
        trial(pair="MR-PT"),
        trial(cell=CELLS[2]),
        trial(number=1),
        trial(seed=1),
    ]
    drawn = [each.random.standard_normal() for each in different]
    assert len(set(drawn)) == len(drawn)
    assert trial().random.standard_normal() == drawn[0]


def test_what_is_planted_does_not_depend_on_what_else_is_compared(study: Study) -> None:
    def planted(pairs: tuple[str, ...], cells: tuple[Cell, ...], number: int) -> bytes:
        trials = plan({pair: phantom_heads(pair, 2, 0) for pair in pairs}, cells, number, 0)
        (wanted,) = (one for one in trials if (one.pair, one.cell, one.number) == ("MR-PT", CELLS[2], 3))
        return plant(study, wanted).fixed_to_moving_ras.tobytes()

    assert planted(("MR-PT",), CELLS[2:], 4) == planted(("MR-CT", "MR-PT"), CELLS, 9)


def test_heads_take_turns() -> None:
    trials = plan({"MR-CT": phantom_heads("MR-CT", 3, 7)}, CELLS[:1], 7, 0)
    assert [one.subject.case for one in trials] == [f"head {7 + number % 3}" for number in range(7)]


def test_a_phantom_is_in_place_by_its_own_truth() -> None:
    study = study_of(PhantomHead(0, "MR_T1", "CT"))
    assert 500 < len(study.points_mm) <= 2000
    spacing = np.linalg.norm(study.fixed_affine_ras[:3, :3], axis=0)
    assert 2.0 < spacing.min() < 4.0
    seen = apply_affine(np.linalg.inv(study.moving_affine_ras) @ study.fixed_to_moving_ras, study.points_mm)
    inside = ((seen >= 0) & (seen <= np.array(study.moving.shape) - 1)).all(axis=1)
    index = np.round(seen[inside]).astype(int)
    values = study.moving.numpy()[tuple(index.T)]
    assert inside.mean() > 0.9
    assert (values > -300.0).mean() > 0.9  # head, and not the air around it


def test_roles_can_be_exchanged() -> None:
    (there,), (back,) = phantom_heads("MR-CT", 1, 0), phantom_heads("CT-MR", 1, 0)
    assert (there.fixed, there.moving) == (back.moving, back.fixed) == ("MR_T1", "CT")
    (same,) = phantom_heads("MR-MR", 1, 0)
    assert (same.fixed, same.moving) == ("MR_T1", "MR_T2")


def test_a_phantom_has_one_ct_only() -> None:
    with pytest.raises(OptionError, match="'CT-CT', and a phantom has one CT only"):
        phantom_heads("CT-CT", 1, 0)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"methods": ("flirt",)}, "method is 'flirt'; choose one of medfuse, textbook"),
        ({"methods": ("ants", "ants")}, "methods names nothing, or one twice"),
        ({"pairs": ("MR",)}, "pair is 'MR'; give FIXED-MOVING"),
        ({"pairs": ("MR-US",)}, "modality in pair 'MR-US' is 'US'"),
        ({"cells": ()}, "cells names nothing"),
        ({"trials": 0}, "trials is 0"),
        ({"threads": 0}, "threads is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_outside_what_is_allowed_are_refused(wrong: dict[str, object], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        dataclasses.replace(RegistrationBenchmarkOptions(), **wrong)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("30", "give DEGREES,MM"),
        ("a,b", "give DEGREES,MM"),
        ("1,2,3", "give DEGREES,MM"),
        ("200,1", "degrees; give 0 to 180"),
        ("1,-1", "mm; give 0 to 1000"),
        ("nan,1", "degrees; give 0 to 180"),
    ],
)
def test_a_cell_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        Cell.parse(text)


def test_a_cell_is_read_as_it_is_written() -> None:
    assert Cell.parse(str(Cell(12.5, 30))) == Cell(12.5, 30)
    assert [modalities_of(f"{first}-CT") for first in ("MR", "PT")] == [("MR", "CT"), ("PT", "CT")]
