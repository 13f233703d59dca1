"""Laws of displacements as cubic B-splines: they reproduce lines, refine without change, and have an adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from medfuse.registration.bspline import ControlGrid, Field, basis, gather, lattice_axes, spread, subdivide

GRID = ControlGrid((130.0, 96.0, 70.0), 32.0)
SHAPE = (13, 9, 11)


def noise(*shape: int, seed: int = 0) -> Field:
    return np.random.default_rng(seed).normal(size=shape)


def positions(axis: int, count: int = 57) -> Field:
    return np.linspace(0.0, GRID.extent_mm[axis], count)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_weights_are_shares(axis: int) -> None:
    weights = basis(GRID, axis, positions(axis))
    assert weights.shape == (57, GRID.counts[axis])
    assert weights.min() >= 0.0
    assert (np.count_nonzero(weights, axis=1) <= 4).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


def test_the_weights_are_those_of_scipy() -> None:
    places = positions(0)
    knots = GRID.spacing_mm * np.arange(-3, GRID.counts[0] + 1)
    expected = BSpline.design_matrix(places, knots, 3).toarray()
    np.testing.assert_allclose(basis(GRID, 0, places), expected, atol=1e-12)


def test_control_points_on_a_line_give_a_line() -> None:
    places = positions(1)
    line = GRID.spacing_mm * (np.arange(GRID.counts[1]) - 1.0)
    np.testing.assert_allclose(basis(GRID, 1, places) @ line, places, atol=1e-10)


def test_a_lattice_is_sampled_at_its_voxel_centers() -> None:
    coefficients = np.zeros((3, *GRID.counts))
    coefficients[2] = GRID.spacing_mm * (np.arange(GRID.counts[0]) - 1.0)[:, None, None]
    field = spread(coefficients, lattice_axes(GRID, SHAPE))
    centers = (np.arange(SHAPE[0]) + 0.5) * GRID.extent_mm[0] / SHAPE[0]
    np.testing.assert_allclose(field[2], np.broadcast_to(centers[:, None, None], SHAPE), atol=1e-10)
    assert not field[:2].any()


@pytest.mark.parametrize("extent", [(130.0, 96.0, 70.0), (64.0, 65.0, 63.9), (33.0, 31.0, 16.0)])
def test_subdivision_leaves_the_displacement_unchanged(extent: tuple[float, float, float]) -> None:
    grid = ControlGrid(extent, 32.0)
    coefficients = noise(3, *grid.counts)
    finer = subdivide(coefficients, grid)
    assert finer.shape == (3, *grid.halved().counts)
    before = spread(coefficients, lattice_axes(grid, SHAPE))
    np.testing.assert_allclose(spread(finer, lattice_axes(grid.halved(), SHAPE)), before, atol=1e-12)


def test_gathering_is_the_adjoint_of_spreading() -> None:
    axes = lattice_axes(GRID, SHAPE)
    coefficients, forces = noise(3, *GRID.counts), noise(3, *SHAPE, seed=1)
    assert np.sum(spread(coefficients, axes) * forces) == pytest.approx(np.sum(coefficients * gather(forces, axes)))
