"""One level of a free-form deformation: control points pulled by the two scans, held back by stiffness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.bspline import Axes, ControlGrid, Field, gather, lattice_axes, spread
from medfuse.registration.comparison import Comparison, Sources, compare
from medfuse.registration.descent import descend
from medfuse.registration.parzen import Bins
from medfuse.registration.stiffness import bending, stretching


@dataclass(frozen=True)
class Stiffness:
    """What deforming costs, per volume of the patient, in nats.

    Attributes:
        bending_mm2: weight of the mean squared second derivatives, in mm^2.
        stretching: weight of the mean squared first derivatives.
    """

    bending_mm2: float
    stretching: float

    def times(self, factor: float) -> Stiffness:
        """Return a multiple."""
        return Stiffness(factor * self.bending_mm2, factor * self.stretching)


@dataclass(frozen=True)
class Climb:
    """How far to search on one level.

    Attributes:
        samples: at most this many points of the fixed scan are compared.
        iterations: the most steps.
        first_step_mm: how far the first step moves a control point.
        stiffness: what deforming costs.
    """

    samples: int
    iterations: int
    first_step_mm: float
    stiffness: Stiffness


def deform(sources: Sources, start_ras: Matrix, grid: ControlGrid, coefficients: Field, climb: Climb) -> Field:
    """Move the control points to the most mutual information less the cost of deforming.

    Args:
        sources: the two scans on this level.
        start_ras: (4, 4) linear part of the map, fixed to moving.
        grid: the control points.
        coefficients: (3, I, J, K) where they begin, in RAS mm.
        climb: numbers of samples and steps, and the stiffness.

    Returns:
        The coefficients where the search ended.
    """
    comparison, axes = comparison_under(sources, start_ras, grid, coefficients, climb.samples)
    at_rest = apply_affine(start_ras, comparison.points_mm)
    cell = grid.spacing_mm**3 / max(sources.volume_mm3, grid.spacing_mm**3)

    def cost(candidate: Field) -> tuple[float, Field]:
        information, forces = comparison.score(at_rest + _picked(spread(candidate, axes), comparison.voxels))
        pull = gather(_placed(forces, comparison), axes)
        bent, unbend = bending(candidate, grid.spacing_mm)
        stretched, relax = stretching(candidate, grid.spacing_mm)
        stiffness = climb.stiffness
        price = cell * (stiffness.bending_mm2 * bent + stiffness.stretching * stretched)
        return price - information, cell * (stiffness.bending_mm2 * unbend + stiffness.stretching * relax) - pull

    return descend(cost, coefficients, climb.first_step_mm, climb.iterations)


def comparison_under(
    sources: Sources, start_ras: Matrix, grid: ControlGrid, coefficients: Field, samples: int
) -> tuple[Comparison, Axes]:
    """Choose the points that a deformation takes into the moving scan; return them and the lattice's weights."""
    axes = lattice_axes(grid, sources.fixed.shape)
    moved = spread(coefficients, axes)

    def place(points_mm: Points, voxels: Bins) -> Points:
        return apply_affine(start_ras, points_mm) + _picked(moved, voxels)

    return compare(sources, place, samples), axes


def information_of(comparison: Comparison, start_ras: Matrix, axes: Axes, coefficients: Field) -> float:
    """Return the mutual information in nats under a deformation."""
    moved = apply_affine(start_ras, comparison.points_mm) + _picked(spread(coefficients, axes), comparison.voxels)
    return comparison.score(moved)[0]


def _picked(field: Field, voxels: Bins) -> Points:
    """Take the rows of some voxels from a field: (3, X, Y, Z) to (N, 3)."""
    return np.asarray(field.reshape(3, -1)[:, voxels].T)


def _placed(forces: Points, comparison: Comparison) -> Field:
    """Put forces back on their voxels: (N, 3) to (3, X, Y, Z)."""
    shape = comparison.sources.fixed.shape
    field = np.zeros((3, int(np.prod(shape))))
    field[:, comparison.voxels] = forces.T
    return field.reshape(3, *shape)
