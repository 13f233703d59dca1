"""Rotations and shifts that the search looks at."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from medfuse.registration.information import Scene
from medfuse.registration.shifts import best_shift, prepare_shifts
from medfuse.registration.starts import rotation, turns


def test_every_rotation_in_reach_is_near_a_turn() -> None:
    tried = Rotation.from_matrix(np.stack(turns(40.0, 80.0)))
    wanted = Rotation.random(200, random_state=0)
    wanted = wanted[wanted.magnitude() < np.radians(60.0)]
    nearest = [min(np.degrees((each.inv() * tried).magnitude())) for each in wanted]
    assert max(nearest) < 25.0
    assert any(np.allclose(turn, np.eye(3)) for turn in turns(40.0, 80.0))


def test_no_turn_is_farther_than_asked() -> None:
    angles = Rotation.from_matrix(np.stack(turns(30.0, 65.0))).magnitude()
    assert np.degrees(angles).max() <= 65.0 + 1e-9


def test_the_best_of_all_shifts_is_the_planted_one() -> None:
    """A moving scan that was turned and pushed far, with other values than the fixed one."""
    generator = np.random.default_rng(0)
    blobs = generator.uniform(-60.0, 60.0, (8, 3))
    turn, shift = rotation(np.radians([10.0, -20.0, 30.0])), np.array([70.0, -45.0, 30.0])

    def head(points: np.ndarray) -> np.ndarray:
        distance = np.linalg.norm(points[:, None] - blobs, axis=2)
        return np.exp(-((distance / 25.0) ** 2)).sum(axis=1)

    points = np.stack(np.meshgrid(*[np.arange(-80.0, 81.0, 8.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = np.stack(np.meshgrid(*[np.arange(30.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    to_world = np.diag([8.0, 8.0, 8.0, 1.0])
    to_world[:3, 3] = shift - 29.0 * 4.0
    seen = head((grid * 8.0 + to_world[:3, 3] - shift) @ turn)
    moving = (63.0 * (1.0 - seen / seen.max())).reshape(30, 30, 30).astype(np.float32)
    fixed = head(points)
    bins = np.round(63.0 * fixed / fixed.max()).astype(np.int64)
    scene = Scene(points, bins, moving, np.linalg.inv(to_world), 64)
    found = best_shift(prepare_shifts(scene, 8.0), turn)
    assert np.allclose(found[:3, :3], turn)
    assert np.abs(found[:3, 3] - shift).max() <= 8.0
