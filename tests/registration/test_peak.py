"""The last climb: its slope is exact, and it ends at the top."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.registration import peak
from medfuse.registration.information import Scene
from medfuse.registration.native import usable_loops, without_loops
from medfuse.registration.peak import Lever, climb_to_peak
from medfuse.registration.presets import Level
from medfuse.registration.starts import about_centers, rotation

LEVEL = Level(spacing_mm=2.0, samples=0, iterations=60, first_step_mm=1.0, last_step_mm=0.001)
LEVER = Lever(np.array([4.0, -6.0, 3.0]), 40.0)
SHIFT = (2.0, -1.0, 3.0)
BLOBS = np.random.default_rng(0).uniform(-40.0, 40.0, (12, 3))


def head(points: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(points[..., None, :] - BLOBS, axis=-1)
    return np.exp(-((distance / 18.0) ** 2)).sum(axis=-1)


def lattice(step: float, reach: float) -> np.ndarray:
    return np.stack(np.meshgrid(*[np.arange(-reach, reach + 0.1, step)] * 3, indexing="ij"), axis=-1)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Two scans of one head whose values go together, but are not the same; true where they lie."""
    points = lattice(7.0, 49.0).reshape(-1, 3) + 0.3
    seen = head(lattice(3.0, 60.0))
    moving = (31.0 * (1.0 - seen / seen.max()) ** 2).astype(np.float32)
    bins = np.rint(31.0 * head(points) / head(points).max()).astype(np.int64)
    to_world = np.diag([3.0, 3.0, 3.0, 1.0])
    to_world[:3, 3] = -60.0
    return Scene(points, bins, moving, np.linalg.inv(to_world), 32)


def test_the_peak_is_where_the_head_lies(scene: Scene) -> None:
    wrong = about_centers(rotation(np.radians([4.0, -3.0, 5.0])), LEVER.center_mm, LEVER.center_mm + np.array(SHIFT))
    found = climb_to_peak(scene, wrong, LEVER, LEVEL)
    assert target_registration_error_mm(wrong, np.eye(4), scene.points_mm).mean_mm > 4.0
    assert target_registration_error_mm(found, np.eye(4), scene.points_mm).mean_mm < 0.1
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-12)


@pytest.mark.skipif(usable_loops() is None, reason="the loops were not compiled here")
@pytest.mark.parametrize("degrees", [0.0, 4.0, 12.0])
def test_the_compiled_climb_ends_where_that_of_numpy_does(scene: Scene, degrees: float) -> None:
    turned = rotation(np.radians([degrees, -degrees, degrees / 2.0]))
    wrong = about_centers(turned, LEVER.center_mm, LEVER.center_mm + np.array(SHIFT))
    found = climb_to_peak(scene, wrong, LEVER, LEVEL)
    with without_loops():
        expected = climb_to_peak(scene, wrong, LEVER, LEVEL)
    assert target_registration_error_mm(found, expected, scene.points_mm).mean_mm < 0.01
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-12)
    steps = [climb_to_peak(scene, wrong, LEVER, dataclasses.replace(LEVEL, iterations=1))]
    with without_loops():
        steps.append(climb_to_peak(scene, wrong, LEVER, dataclasses.replace(LEVEL, iterations=1)))
    np.testing.assert_allclose(*steps, rtol=0.0, atol=1e-9)


def test_many_points_are_climbed_to_the_peak_of_all(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last climb decides, whatever the few points before it say."""
    wrong = about_centers(np.eye(3), LEVER.center_mm, LEVER.center_mm + np.array(SHIFT))
    expected = climb_to_peak(scene, wrong, LEVER, LEVEL)
    monkeypatch.setattr(peak, "_MANY_POINTS", 100)
    found = climb_to_peak(scene, wrong, LEVER, LEVEL)
    assert 0.0 < target_registration_error_mm(found, expected, scene.points_mm).mean_mm < 0.01


def test_the_steps_are_counted(scene: Scene) -> None:
    wrong = about_centers(np.eye(3), LEVER.center_mm, LEVER.center_mm + np.array(SHIFT))
    one = climb_to_peak(scene, wrong, LEVER, dataclasses.replace(LEVEL, iterations=1))
    moved = np.linalg.inv(wrong) @ one
    about = moved[:3, :3] @ LEVER.center_mm + moved[:3, 3] - LEVER.center_mm
    assert np.abs(about).max() <= LEVEL.first_step_mm + 1e-12
    assert Rotation.from_matrix(moved[:3, :3]).magnitude() * LEVER.radius_mm <= np.sqrt(3.0) * LEVEL.first_step_mm
    assert target_registration_error_mm(one, wrong, scene.points_mm).mean_mm > 0.1
    none = climb_to_peak(scene, wrong, LEVER, dataclasses.replace(LEVEL, iterations=0))
    np.testing.assert_allclose(none, wrong, rtol=0.0, atol=1e-12)


def test_the_pull_is_the_derivative_along_every_motion() -> None:
    """Of a sum whose derivative by each position is known, far from the start, where turns do not add up."""
    points = lattice(20.0, 40.0).reshape(-1, 3)
    change = np.array([25.0, -40.0, 12.0, 3.0, -2.0, 1.0])

    def moved(change: np.ndarray) -> np.ndarray:
        motion = LEVER.motion(change)
        return points @ motion[:3, :3].T + motion[:3, 3]

    by_positions = np.cos(moved(change) / 15.0)
    pull = LEVER.pull(change, by_positions.T @ np.column_stack([points, np.ones(len(points))]))
    steps = 1e-4 * np.eye(6)
    differences = [(15.0 * (np.sin(moved(change + s) / 15.0) - np.sin(moved(change - s) / 15.0))).sum() for s in steps]
    np.testing.assert_allclose(pull, np.array(differences) / 2e-4, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("size", [1e-12, 1e-5, 0.99e-4, 1.01e-4, 3.0])
def test_a_turn_is_that_of_its_rotation_vector(size: float) -> None:
    vector = size * np.array([0.6, -0.48, 0.64])
    motion = LEVER.motion(np.concatenate([LEVER.radius_mm * vector, np.zeros(3)]))
    np.testing.assert_allclose(motion[:3, :3], Rotation.from_rotvec(vector).as_matrix(), rtol=0.0, atol=1e-14)


def test_scans_that_do_not_meet_stay(scene: Scene) -> None:
    apart = np.eye(4)
    apart[0, 3] = 500.0
    np.testing.assert_array_equal(climb_to_peak(scene, apart, LEVER, LEVEL), apart)


def test_one_slice_stays(scene: Scene) -> None:
    flat = Scene(scene.points_mm, scene.fixed_bins, scene.moving[:, :, :1], scene.world_to_moving, scene.bins)
    np.testing.assert_array_equal(climb_to_peak(flat, np.eye(4), LEVER, LEVEL), np.eye(4))
