"""Displacements as cubic B-splines on a coarse lattice of control points that covers the fixed scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Field: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Axes: TypeAlias = tuple[Field, Field, Field]


@dataclass(frozen=True)
class ControlGrid:
    """Where the control points lie: along the fixed scan's axes, counted from the edge of its field of view.

    Attributes:
        extent_mm: (3,) length of the field of view along each array axis.
        spacing_mm: distance between neighboring control points, the same on every axis.
    """

    extent_mm: tuple[float, float, float]
    spacing_mm: float

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of control points: one lies before the edge, and two or three beyond the other."""
        i, j, k = (int(np.ceil(extent / self.spacing_mm - 1e-9)) + 3 for extent in self.extent_mm)
        return i, j, k

    def halved(self) -> ControlGrid:
        """Return the grid of half the spacing."""
        return ControlGrid(self.extent_mm, self.spacing_mm / 2.0)


def basis(grid: ControlGrid, axis: int, positions_mm: Field) -> Field:
    """Return the weight of every control point at positions along one axis.

    Args:
        grid: the control points.
        axis: array axis 0, 1 or 2.
        positions_mm: (N,) distances from the edge of the field of view, 0 to its extent.

    Returns:
        (N, control points) weights; each row has four that are not zero and sums to 1.
    """
    place = positions_mm / grid.spacing_mm + 1.0
    first = np.clip(np.floor(place).astype(np.int64) - 1, 0, grid.counts[axis] - 4)
    t = place - first - 1.0
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((len(place), grid.counts[axis]))
    for offset, piece in enumerate(pieces):
        weights[np.arange(len(place)), first + offset] = piece / 6.0
    return weights


def lattice_axes(grid: ControlGrid, shape: tuple[int, ...]) -> Axes:
    """Return the weights at the voxel centers of a lattice that fills the field of view from edge to edge."""
    middles = [(np.arange(n) + 0.5) / n * extent for n, extent in zip(shape, grid.extent_mm, strict=True)]
    return basis(grid, 0, middles[0]), basis(grid, 1, middles[1]), basis(grid, 2, middles[2])


def spread(coefficients: Field, axes: Axes) -> Field:
    """Return the displacements of a lattice.

    Plain sums in a fixed order, not matrix products: those of a BLAS depend on the number of threads.

    Args:
        coefficients: (3, I, J, K) of the control points, in mm.
        axes: weights (X, I), (Y, J) and (Z, K).

    Returns:
        (3, X, Y, Z) in mm.
    """
    along_z = np.einsum("cijk,zk->cijz", coefficients, axes[2])
    along_y = np.einsum("cijz,yj->ciyz", along_z, axes[1])
    return np.asarray(np.einsum("ciyz,xi->cxyz", along_y, axes[0]))


def gather(forces: Field, axes: Axes) -> Field:
    """Return what forces on a lattice, (3, X, Y, Z), do to the coefficients: the adjoint of ``spread``."""
    along_x = np.einsum("cxyz,xi->ciyz", forces, axes[0])
    along_y = np.einsum("ciyz,yj->cijz", along_x, axes[1])
    return np.asarray(np.einsum("cijz,zk->cijk", along_y, axes[2]))


def subdivide(coefficients: Field, grid: ControlGrid) -> Field:
    """Return the coefficients of the same displacement on the grid of half the spacing.

    Args:
        coefficients: (3, I, J, K) on ``grid``.
        grid: the coarser grid.

    Returns:
        (3, I', J', K') on ``grid.halved()``.
    """
    for axis, count in enumerate(grid.halved().counts, start=1):
        old = np.moveaxis(coefficients, axis, 0)
        new = np.empty((2 * len(old) - 3, *old.shape[1:]))
        new[0::2] = (old[:-1] + old[1:]) / 2.0
        new[1::2] = (old[:-2] + 6.0 * old[1:-1] + old[2:]) / 8.0
        coefficients = np.moveaxis(new[:count], 0, axis)
    return np.ascontiguousarray(coefficients)
