"""The rigid transform that fits points best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from medfuse.errors import InputError
from medfuse.geometry import apply_affine
from medfuse.registration.landmarks import fit_landmarks, nearest_rigid

HEAD = np.array([[0.0, 90, -10], [-70, 0, -20], [70, 0, -20], [0, 20, 95], [10, -80, 0]])


def rigid(vector: tuple[float, ...], shift: tuple[float, ...]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(vector).as_matrix()
    matrix[:3, 3] = shift
    return matrix


@given(
    vector=st.tuples(*[st.floats(-1.7, 1.7)] * 3), shift=st.tuples(*[st.floats(-200, 200)] * 3), count=st.integers(3, 5)
)
def test_a_rigid_motion_is_found(vector: tuple[float, ...], shift: tuple[float, ...], count: int) -> None:
    true = rigid(vector, shift)
    fit = fit_landmarks(HEAD[:count], apply_affine(true, HEAD[:count]))
    np.testing.assert_allclose(fit.fixed_to_moving_ras, true, atol=1e-9)
    assert fit.residuals_mm.shape == (count,)
    assert fit.rms_mm < 1e-9


def test_no_other_rigid_motion_fits_better() -> None:
    moving = HEAD + np.random.default_rng(3).normal(0, 2, HEAD.shape) + (5, -7, 20)
    fit = fit_landmarks(HEAD, moving)

    def rms(six: np.ndarray) -> float:
        left = apply_affine(rigid(tuple(six[:3]), tuple(six[3:])), HEAD) - moving
        return float(np.sqrt((left**2).sum(axis=1).mean()))

    best = minimize(rms, np.array([0, 0, 0, 5, -7, 20.0]), method="Nelder-Mead", options={"maxiter": 4000}).fun
    assert 1.0 < fit.rms_mm <= best + 1e-9
    assert fit.rms_mm == pytest.approx(np.sqrt((fit.residuals_mm**2).mean()))
    assert fit.rms_mm == pytest.approx(best, abs=1e-3)


def test_a_mirror_image_is_not_mirrored() -> None:
    fit = fit_landmarks(HEAD, HEAD * (-1, 1, 1))
    assert np.linalg.det(fit.fixed_to_moving_ras[:3, :3]) == pytest.approx(1.0)
    assert fit.rms_mm > 5


@pytest.mark.parametrize(
    ("points", "role"),
    [
        ((HEAD[:2], HEAD[:2]), "fixed"),
        ((np.outer([0, 1, 2, 3], [10, 5, 1.0]), HEAD[:4]), "fixed"),
        ((HEAD[:4], np.outer([0, 1, 2, 3], [10, 5, 1.0])), "moving"),
        ((np.zeros((3, 3)), HEAD[:3]), "fixed"),
    ],
    ids=["two", "fixed line", "moving line", "one point"],
)
def test_points_that_leave_a_turn_open_are_refused(points: tuple[np.ndarray, np.ndarray], role: str) -> None:
    with pytest.raises(InputError, match=f"the {role} landmarks lie on one line"):
        fit_landmarks(*points)


def test_the_nearest_rigid_transform() -> None:
    true = rigid((0.2, 0.5, -0.1), (10, 20, 30))
    assert nearest_rigid(true, HEAD).residuals_mm.max() < 1e-9
    stretched = true @ np.diag([1.1, 1.0, 1.0, 1.0])
    near = nearest_rigid(stretched, HEAD - HEAD.mean(axis=0))
    assert 1.0 < near.residuals_mm.max() < 10.0
    turn = near.fixed_to_moving_ras[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
