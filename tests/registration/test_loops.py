"""The compiled loops compute what numpy does, and nothing that they should not touch."""

from __future__ import annotations

import numpy as np
import pytest

from medfuse.registration.information import Scene, similarity
from medfuse.registration.native import usable_loops, without_loops
from medfuse.registration.parzen import Samples
from medfuse.registration.peak import Lever, climb_to_peak
from medfuse.registration.presets import Level

BINS = 12
LEVEL = Level(spacing_mm=2.0, samples=0, iterations=20, first_step_mm=1.0, last_step_mm=0.01)
LEVER = Lever(np.array([3.0, 4.0, 5.0]), 4.0)
SHAPE = (7, 9, 11)


@pytest.fixture(autouse=True)
def built() -> None:
    if usable_loops() is None:
        pytest.skip("the loops were not compiled here")


def scan(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Values that reach both ends of the bins."""
    return np.random.default_rng(1).uniform(-1.0, BINS, shape).clip(0.0, BINS - 1.0).astype(np.float32)


def points(count: int, shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Positions within a scan and around it, some of them whole numbers, and the bins of the other scan."""
    random = np.random.default_rng(2)
    where = random.uniform(-2.0, np.array(shape) + 1.0, (count, 3))
    where[::3] = np.rint(where[::3])
    return where, random.integers(0, BINS, count)


def turned() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3] += np.random.default_rng(3).uniform(-0.2, 0.2, (3, 4))
    return matrix


@pytest.mark.parametrize("count", [1, 20, 999])
@pytest.mark.parametrize("matrix", [np.eye(4), turned()], ids=["as they are", "turned"])
def test_information_and_its_derivatives_are_those_of_numpy(count: int, matrix: np.ndarray) -> None:
    samples = Samples(*points(count), scan(), BINS)
    (found, by_map), (again, forces) = samples.under(matrix), samples.forces(matrix)
    with without_loops():
        (expected, expected_by_map), (_, expected_forces) = samples.under(matrix), samples.forces(matrix)
    assert found == again == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(by_map, expected_by_map, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(forces, expected_forces, rtol=0.0, atol=1e-13)
    assert count == 1 or np.abs(expected_forces).max() > 1e-4


@pytest.mark.parametrize("shape", [SHAPE, (7, 9, 1), (1, 9, 11), (7, 1, 11)])
def test_a_score_is_that_of_numpy(shape: tuple[int, int, int]) -> None:
    scene = Scene(*points(2000, shape), scan(shape), turned(), BINS)
    found = similarity(scene, np.eye(4))
    with without_loops():
        expected = similarity(scene, np.eye(4))
    assert 0.1 < expected[1] < 0.9
    assert found == pytest.approx(expected, abs=1e-7)  # numpy takes differences in single precision


def test_nothing_in_view_scores_nothing() -> None:
    where, bins = points(500)
    far = np.eye(4)
    far[0, 3] = 1e9
    assert similarity(Scene(where, bins, scan(), np.eye(4), BINS), far) == (0.0, 0.0)


@pytest.mark.parametrize("wrong", [-1, BINS, np.iinfo(np.int64).min])
def test_a_bin_out_of_range_is_refused(wrong: int) -> None:
    where, bins = points(500)
    bins[-1] = wrong
    with pytest.raises(ValueError, match="a bin of the fixed scan"):
        Samples(where, bins, scan(), BINS).under(np.eye(4))
    with pytest.raises(ValueError, match="a bin of the fixed scan"):
        climb_to_peak(Scene(where, bins, scan(), np.eye(4), BINS), np.eye(4), LEVER, LEVEL)
    where[-1] = 3.0
    with pytest.raises(ValueError, match="a bin of the fixed scan"):
        similarity(Scene(where, bins, scan(), np.eye(4), BINS), np.eye(4))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_no_number_reads_no_foreign_memory(odd: float) -> None:
    where, bins = points(500)
    where[::7] = odd
    values = scan()
    values[2] = np.float32(odd)
    information, by_map = Samples(where, bins, values, BINS).under(np.eye(4))
    assert np.isfinite(information)
    assert by_map.shape == (3, 4)
    assert 0.0 < similarity(Scene(where, bins, values, np.eye(4), BINS), np.eye(4))[1] < 1.0


def test_the_switch_leaves_them_out() -> None:
    with without_loops():
        assert usable_loops() is None
