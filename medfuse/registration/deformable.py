"""Step 2 of 8, register: let the anatomy deform where it breathes, swallows or lies differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix, directions, spacing_mm
from medfuse.progress import Progress, Silent
from medfuse.registration.bspline import ControlGrid, Field, basis, spread, subdivide
from medfuse.registration.comparison import Sources, prepare_sources
from medfuse.registration.deformable_presets import DeformablePreset, load_deformable_preset
from medfuse.registration.freeform import Climb, comparison_under, deform, information_of
from medfuse.registration.jacobian import jacobian_range
from medfuse.registration.warp import Displacement


@dataclass(frozen=True)
class Deformation:
    """Where a deformable registration found the moving volume.

    A world point p of the fixed volume lies at ``start_ras @ p + displacement(p)`` in the moving one: RAS mm, the
    displacement looked up at p and added along the moving world's axes.

    Attributes:
        start_ras: (4, 4) linear part, fixed to moving, as it was given.
        displacement: float32 displacements on a lattice of nodes over the fixed volume's field of view.
        jacobian_range: smallest and largest determinant of the whole map's derivatives; the smallest is positive.
        similarity_start: mutual information in nats under the linear part alone.
        similarity_end: the same under the whole map.
        stiffness_factor: 1, or by how much the stiffness was raised until nothing folded.
        largest_mm: length of the longest displacement.
    """

    start_ras: Matrix
    displacement: Displacement
    jacobian_range: tuple[float, float]
    similarity_start: float
    similarity_end: float
    stiffness_factor: float
    largest_mm: float

    @property
    def displacement_mm(self) -> torch.Tensor:
        """(3, I, J, K) float32 displacements in RAS mm; their nodes lie where ``displacement.affine_ras`` says."""
        return self.displacement.values_mm


def register_deformable(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    start_ras: Matrix,
    preset: DeformablePreset | str = "body",
    progress: Progress | None = None,
) -> Deformation:
    """Find the smooth deformation with the most mutual information between two volumes.

    A cubic B-spline on a grid of control points that is refined twice, moved by limited-memory BFGS against the
    cost of bending and stretching (Rueckert et al., "Nonrigid registration using free-form deformations", IEEE TMI
    1999; mutual information after Mattes et al., IEEE TMI 2003). If the map folds, all is done again with a stiffer
    spline. Nothing is random, and every sum has its order: equal input gives equal bits on any number of threads.

    Args:
        fixed: (X, Y, Z).
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X', Y', Z').
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        start_ras: (4, 4) rigid or affine transform to start from, fixed to moving.
        preset: the numbers, or the name of a section in ``configs/deformable.json``.
        progress: who is told how far the search is; None for nobody.

    Returns:
        The deformation, with the range of its Jacobian determinant.

    Raises:
        RegistrationError: if the two volumes hardly meet under the start, or every attempt folds.
        OptionError: if there is no such preset.
    """
    numbers = load_deformable_preset(preset) if isinstance(preset, str) else preset
    listener = progress if progress is not None else Silent()
    levels = prepare_sources(
        fixed, fixed_affine_ras, moving, moving_affine_ras, numbers.spacings_mm, numbers.preparation
    )
    shape = (fixed.shape[0], fixed.shape[1], fixed.shape[2])
    factor = 1.0
    for attempt in range(numbers.attempts):
        grid, coefficients = _search(levels, shape, fixed_affine_ras, start_ras, numbers, factor, listener, attempt)
        displacement = _on_nodes(grid, coefficients, fixed_affine_ras, numbers.field_mm)
        jacobian = jacobian_range(displacement.values_mm, displacement.affine_ras, start_ras)
        if jacobian[0] >= numbers.smallest_jacobian:
            return _conclude(levels, start_ras, grid, coefficients, displacement, jacobian, factor, numbers)
        factor *= numbers.stiffening
    msg = (
        f"the deformation folds however stiff it is made (smallest Jacobian determinant {jacobian[0]:.2g}); "
        f"check that both volumes show the same region, or register without deformation"
    )
    raise RegistrationError(msg)


def _search(
    levels: dict[float, Sources],
    shape: tuple[int, int, int],
    fixed_affine_ras: Matrix,
    start_ras: Matrix,
    numbers: DeformablePreset,
    factor: float,
    listener: Progress,
    attempt: int,
) -> tuple[ControlGrid, Field]:
    """Deform level by level, refining the control points on the way."""
    i, j, k = (spacing_mm(fixed_affine_ras) * shape).tolist()
    grid = ControlGrid((i, j, k), numbers.levels[0].control_mm)
    coefficients = np.zeros((3, *grid.counts))
    for done, level in enumerate(numbers.levels, start=1):
        while grid.spacing_mm > 1.5 * level.control_mm:
            coefficients, grid = subdivide(coefficients, grid), grid.halved()
        sources = levels[level.spacing_mm]
        climb = Climb(numbers.samples, level.iterations, numbers.first_step_mm, numbers.stiffness.times(factor))
        coefficients = deform(sources, start_ras, grid, coefficients, climb)
        listener.advance(attempt * len(numbers.levels) + done, (attempt + 1) * len(numbers.levels))
    return grid, coefficients


def _on_nodes(grid: ControlGrid, coefficients: Field, fixed_affine_ras: Matrix, field_mm: float) -> Displacement:
    """Put down the spline on nodes that span the field of view, from edge to edge."""
    counts = [max(2, int(np.ceil(extent / field_mm)) + 1) for extent in grid.extent_mm]
    places = [np.linspace(0.0, extent, count) for extent, count in zip(grid.extent_mm, counts, strict=True)]
    values = spread(coefficients, (basis(grid, 0, places[0]), basis(grid, 1, places[1]), basis(grid, 2, places[2])))
    steps = np.array([place[1] for place in places])
    affine = np.eye(4)
    affine[:3, :3] = directions(fixed_affine_ras) * steps
    affine[:3, 3] = fixed_affine_ras[:3, 3] - fixed_affine_ras[:3, :3] @ np.full(3, 0.5)
    return Displacement(torch.from_numpy(values.astype(np.float32)), affine)


def _conclude(
    levels: dict[float, Sources],
    start_ras: Matrix,
    grid: ControlGrid,
    coefficients: Field,
    displacement: Displacement,
    jacobian: tuple[float, float],
    factor: float,
    numbers: DeformablePreset,
) -> Deformation:
    finest = levels[numbers.levels[-1].spacing_mm]
    at_rest = np.zeros_like(coefficients)
    comparison, axes = comparison_under(finest, start_ras, grid, at_rest, numbers.samples)
    return Deformation(
        start_ras=start_ras,
        displacement=displacement,
        jacobian_range=jacobian,
        similarity_start=information_of(comparison, start_ras, axes, at_rest),
        similarity_end=information_of(comparison, start_ras, axes, coefficients),
        stiffness_factor=factor,
        largest_mm=float(torch.linalg.vector_norm(displacement.values_mm, dim=0).max()),
    )
