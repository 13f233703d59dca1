"""Errors of a registration against its truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfuse.errors import OptionError
from medfuse.metrics.alignment import (
    rotation_error_degrees,
    target_registration_error_mm,
    translation_error_mm,
)

POINTS = np.random.default_rng(0).uniform(-80, 80, (200, 3))


def turned_about_z(degrees: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:3, 3] = shift
    return matrix


def test_equal_transforms_have_no_error() -> None:
    matrix = turned_about_z(20, (1, 2, 3))
    error = target_registration_error_mm(matrix, matrix, POINTS)
    assert (error.mean_mm, error.p95_mm, error.max_mm) == (0.0, 0.0, 0.0)
    assert rotation_error_degrees(matrix, matrix) == pytest.approx(0.0, abs=1e-9)
    assert translation_error_mm(matrix, matrix, np.zeros(3)) == 0.0


def test_a_pure_shift_is_the_same_everywhere() -> None:
    error = target_registration_error_mm(turned_about_z(0, (3, 4, 0)), np.eye(4), POINTS)
    assert error.mean_mm == pytest.approx(5.0)
    assert error.p95_mm == pytest.approx(5.0)
    assert error.max_mm == pytest.approx(5.0)


def test_a_turn_errs_by_the_chord() -> None:
    points = np.array([[10.0, 0.0, 7.0], [100.0, 0.0, -5.0]])
    error = target_registration_error_mm(turned_about_z(60), np.eye(4), points)
    assert error.max_mm == pytest.approx(100.0)
    assert error.mean_mm == pytest.approx(55.0)
    assert error.mean_mm <= error.p95_mm <= error.max_mm


@given(st.floats(0.0, 180.0), st.floats(-180.0, 180.0))
def test_the_angle_between_two_turns(apart: float, common: float) -> None:
    found, true = turned_about_z(common + apart), turned_about_z(common)
    assert rotation_error_degrees(found, true) == pytest.approx(apart, abs=1e-6)
    assert rotation_error_degrees(true, found) == pytest.approx(apart, abs=1e-6)


def test_the_translation_is_taken_at_the_center() -> None:
    center = np.array([10.0, 0.0, 0.0])
    assert translation_error_mm(turned_about_z(180), np.eye(4), center) == pytest.approx(20.0)
    assert translation_error_mm(turned_about_z(180), np.eye(4), np.zeros(3)) == pytest.approx(0.0)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (4, 2)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="points has shape"):
        target_registration_error_mm(np.eye(4), np.eye(4), np.zeros(shape))
