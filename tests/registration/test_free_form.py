"""What drives a deformation: each gradient is the slope of its value, and the descent goes down."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import apply_affine
from medfuse.registration.bspline import ControlGrid, spread
from medfuse.registration.comparison import Preparation, Sources, compare, prepare_sources
from medfuse.registration.descent import descend
from medfuse.registration.freeform import Climb, Stiffness, comparison_under, deform, information_of
from medfuse.registration.information import interpolate
from medfuse.registration.parzen import information_and_forces, look_up
from medfuse.registration.shades import shades
from medfuse.registration.stiffness import bending, stretching

BINS = 16
GRID = ControlGrid((60.0, 56.0, 52.0), 20.0)
HOW = Preparation(bins=BINS, rank_share=0.5, clip_percentiles=(0.5, 99.5), margin_mm=10.0, body_level_mm=4.0)


def blobs(shift_mm: float = 0.0, negative: bool = False) -> tuple[torch.Tensor, np.ndarray]:
    """Return a scan of smooth blobs, 4 mm voxels, and its affine."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    points = np.stack(np.meshgrid(*[4.0 * np.arange(n) for n in (15, 14, 13)], indexing="ij"), axis=-1)
    random = np.random.default_rng(3)
    scan = np.zeros(points.shape[:3])
    for center, height in zip(random.uniform(12.0, 44.0, (8, 3)), random.uniform(50.0, 100.0, 8), strict=True):
        away = points - center - np.array([shift_mm, 0.0, 0.0])
        scan += height * np.exp(-0.5 * (away**2).sum(axis=-1) / 8.0**2)
    return torch.from_numpy(-scan if negative else scan), affine


def slope(value: Callable[[np.ndarray], float], where: np.ndarray, index: tuple[int, ...], step: float) -> float:
    """Return the derivative by one entry, from central differences."""
    ahead, behind = where.copy(), where.copy()
    ahead[index] += step
    behind[index] -= step
    return (value(ahead) - value(behind)) / (2.0 * step)


def some(where: np.ndarray, count: int = 12) -> list[tuple[int, ...]]:
    picks = np.random.default_rng(5).integers(0, where.size, count)
    return [tuple(int(i) for i in np.unravel_index(pick, where.shape)) for pick in picks]


@pytest.fixture(scope="module")
def sources() -> Sources:
    return prepare_sources(*blobs(), *blobs(), [4.0], HOW)[4.0]


def test_the_pull_on_moving_values_is_the_slope_of_mutual_information() -> None:
    random = np.random.default_rng(0)
    fixed = random.integers(0, BINS, 300)
    moving = np.clip(fixed + random.normal(0.0, 2.0, 300), 0.0, BINS - 1.0)
    moving[:2] = (0.0, BINS - 1.0)
    _, forces = information_and_forces(fixed, moving, BINS)
    inner = (moving > 0.01) & (moving < BINS - 1.01)
    for n in np.flatnonzero(inner)[::20]:
        expected = slope(lambda v: information_and_forces(fixed, v, BINS)[0], moving, (int(n),), 1e-4)
        assert forces[n] == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_mutual_information_knows_nothing_from_everything() -> None:
    random = np.random.default_rng(1)
    fixed = random.integers(0, BINS, 20_000)
    unrelated = information_and_forces(fixed, random.uniform(0.0, BINS - 1.0, 20_000), BINS)[0]
    same = information_and_forces(fixed, fixed.astype(np.float64), BINS)[0]
    assert -1e-9 < unrelated < 0.02
    assert same > 1.0


def test_looking_up_agrees_with_interpolation_and_gives_its_slope() -> None:
    random = np.random.default_rng(2)
    volume = random.normal(size=(7, 6, 5)).astype(np.float32)
    indices = random.uniform((0.05, 0.05, 0.05), (5.9, 4.9, 3.9), (40, 3))
    values, slopes = look_up(volume, indices)
    np.testing.assert_allclose(values, interpolate(volume, indices), atol=1e-6)
    for axis in range(3):
        step = np.eye(3)[axis] * 1e-6
        expected = (look_up(volume, indices + step)[0] - look_up(volume, indices - step)[0]) / 2e-6
        np.testing.assert_allclose(slopes[:, axis], expected, atol=1e-5)


def test_beyond_the_border_the_value_stays_and_pulls_nowhere() -> None:
    volume = np.random.default_rng(2).normal(size=(7, 6, 5)).astype(np.float32)
    values, slopes = look_up(volume, np.array([[-3.0, 2.0, 2.0], [8.0, 2.0, 2.0]]))
    np.testing.assert_allclose(values, volume[[0, -1], 2, 2])
    assert not slopes[:, 0].any()
    assert slopes[:, 1:].any()


def test_the_pull_on_points_is_the_slope_of_the_score(sources: Sources) -> None:
    comparison = compare(sources, lambda points, _: points, 400)
    moved = apply_affine(np.eye(4), comparison.points_mm) + np.random.default_rng(4).uniform(0.3, 1.7, (1, 3))
    _, forces = comparison.score(moved)
    assert np.abs(forces).max() > 0.0
    for index in some(moved):
        expected = slope(lambda m: comparison.score(m)[0], moved, index, 1e-4)
        assert forces[index] == pytest.approx(expected, rel=1e-3, abs=1e-8)


@pytest.mark.parametrize("energy", [bending, stretching])
def test_the_pull_of_stiffness_is_the_slope_of_its_cost(energy: Callable[..., tuple[float, np.ndarray]]) -> None:
    coefficients = np.random.default_rng(6).normal(size=(3, *GRID.counts))
    _, gradient = energy(coefficients, GRID.spacing_mm)
    for index in some(coefficients):
        expected = slope(lambda c: energy(c, GRID.spacing_mm)[0], coefficients, index, 1e-3)
        assert gradient[index] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_bending_is_free_for_affine_maps_and_stretching_for_shifts() -> None:
    places = np.stack(np.meshgrid(*[20.0 * np.arange(n) for n in GRID.counts], indexing="ij"))
    tilted = np.einsum("ab,bijk->aijk", [[0.1, 0.0, 0.2], [0.0, -0.1, 0.0], [0.05, 0.0, 0.0]], places)
    assert bending(tilted, 20.0)[0] == pytest.approx(0.0, abs=1e-20)
    assert stretching(tilted, 20.0)[0] > 0.1
    assert stretching(np.full_like(tilted, 7.0), 20.0)[0] == 0.0


def test_stretching_is_in_units_of_strain_whatever_the_grid() -> None:
    places = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in (5, 5, 5)], indexing="ij"))
    strained = np.zeros((3, 5, 5, 5))
    for spacing in (8.0, 32.0):
        strained[0] = 0.1 * spacing * places[0]
        assert stretching(strained, spacing)[0] == pytest.approx(0.1**2 * 4 * 5 * 5)


def test_descent_reaches_the_bottom_of_a_curved_valley() -> None:
    def rosenbrock(p: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = p
        value = (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2
        return value, np.array([-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)])

    found = descend(rosenbrock, np.array([-1.2, 1.0]), 0.1, 200, tolerance=1e-12)
    np.testing.assert_allclose(found, 1.0, atol=1e-4)


def test_descent_stays_at_a_minimum_and_never_goes_up() -> None:
    def bowl(p: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.sum(p**4)), 4.0 * p**3

    assert not descend(bowl, np.zeros(3), 1.0, 10).any()
    start = np.array([2.0, -1.0, 0.5])
    values = [bowl(descend(bowl, start, 1.0, steps, tolerance=0.0))[0] for steps in range(6)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_points_are_chosen_inside_the_moving_scan_and_no_more_than_asked(sources: Sources) -> None:
    shift = np.eye(4)
    shift[0, 3] = 20.0
    comparison = compare(sources, lambda points, _: apply_affine(shift, points), 150)
    assert 75 <= len(comparison.points_mm) <= 150
    assert apply_affine(shift, comparison.points_mm)[:, 0].max() <= 4.0 * 14.5
    np.testing.assert_array_equal(comparison.fixed_bins, np.rint(sources.fixed.ravel()[comparison.voxels]))


def test_scans_that_hardly_meet_are_refused_in_one_line(sources: Sources) -> None:
    far = np.eye(4)
    far[0, 3] = 500.0
    with pytest.raises(RegistrationError, match="covers 0% of the fixed patient") as caught:
        compare(sources, lambda points, _: apply_affine(far, points), 150)
    assert "\n" not in str(caught.value)


def test_a_single_slice_is_refused_in_one_line() -> None:
    scan, affine = blobs()
    flat = prepare_sources(scan, affine, scan[:, :, 6:7], affine, [4.0], HOW)[4.0]
    with pytest.raises(RegistrationError, match="single slice"):
        compare(flat, lambda points, _: points, 150)


@pytest.mark.parametrize("rank_share", [0.0, 0.5, 1.0])
def test_shades_rise_with_the_values_and_fill_the_bins(rank_share: float) -> None:
    values = np.random.default_rng(8).gamma(1.0, 100.0, (12, 12, 12)).astype(np.float32)
    found = shades(values, values > 50.0, BINS, rank_share)
    assert found.dtype == np.float32
    assert 0.0 <= found.min() < 0.5
    assert found.max() == BINS - 1
    assert (np.diff(found.ravel()[np.argsort(values, axis=None)]) >= 0.0).all()


def test_soft_tissue_gets_shades_of_its_own() -> None:
    random = np.random.default_rng(9)
    ct = np.where(random.random((16, 16, 16)) < 0.9, random.uniform(0.0, 80.0, (16, 16, 16)), 2000.0)
    soft = ct < 100.0
    narrow, wide = (np.ptp(shades(ct.astype(np.float32), soft, BINS, share)[soft]) for share in (0.0, 0.5))
    assert narrow < 1.0
    assert wide > 0.4 * BINS


def test_control_points_move_toward_a_shifted_scan_of_other_contrast() -> None:
    level = prepare_sources(*blobs(), *blobs(shift_mm=3.0, negative=True), [4.0], HOW)[4.0]
    grid = ControlGrid((60.0, 56.0, 52.0), 60.0)
    at_rest = np.zeros((3, *grid.counts))
    found = deform(level, np.eye(4), grid, at_rest, Climb(10_000, 30, 1.0, Stiffness(10.0, 0.005)))
    comparison, axes = comparison_under(level, np.eye(4), grid, at_rest, 10_000)
    before, after = (information_of(comparison, np.eye(4), axes, c) for c in (at_rest, found))
    assert after > before
    moved = np.median(spread(found, axes)[:, level.fixed > 0.25 * BINS], axis=1)
    np.testing.assert_allclose(moved, (3.0, 0.0, 0.0), atol=0.5)


def test_stiffness_multiplies() -> None:
    assert Stiffness(2.0, 0.5).times(4.0) == Stiffness(8.0, 2.0)
