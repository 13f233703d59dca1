"""Step 2 of 8, register: twelve degrees of freedom, for scans that do not agree on a patient's size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.progress import Progress, Silent
from medfuse.registration.comparison import Comparison, Sources, compare, prepare_sources
from medfuse.registration.deformable_presets import DeformablePreset, load_deformable_preset
from medfuse.registration.descent import descend

_STRAIN_COST = 0.3  # nats for a unit of squared strain; 5 % along one axis cost 0.00075


@dataclass(frozen=True)
class AffineRegistration:
    """Where an affine registration found the moving volume.

    Attributes:
        fixed_to_moving_ras: (4, 4) transform of RAS points in mm.
        singular_values: (3,) by which factors it stretches along its principal axes, largest first; all 1 for a
            rigid transform. Scale and shear both show here.
        similarity_start: mutual information in nats under the start.
        similarity_end: the same under the transform found.
        held_back: 1, or by how much the cost of scale and shear was raised until they were plausible.
    """

    fixed_to_moving_ras: Matrix
    singular_values: tuple[float, float, float]
    similarity_start: float
    similarity_end: float
    held_back: float


def register_affine(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    start_ras: Matrix,
    preset: DeformablePreset | str = "body",
    progress: Progress | None = None,
) -> AffineRegistration:
    """Find the affine transform with the most mutual information near a rigid one.

    What departs from a rigid motion costs a little, and more if the result stretches or shrinks any axis beyond
    what one patient can show in two scans. Nothing is random; equal input gives equal bits on any number of threads.

    Args:
        fixed: (X, Y, Z).
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X', Y', Z').
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        start_ras: (4, 4) rigid transform to start from, fixed to moving.
        preset: the numbers, or the name of a section in ``configs/deformable.json``.
        progress: who is told how far the search is; None for nobody.

    Returns:
        The transform, with its singular values.

    Raises:
        RegistrationError: if the two volumes hardly meet under the start, or scale and shear stay implausible.
        OptionError: if there is no such preset.
    """
    numbers = load_deformable_preset(preset) if isinstance(preset, str) else preset
    listener = progress if progress is not None else Silent()
    spacings = list(dict.fromkeys(numbers.spacings_mm))
    levels = prepare_sources(fixed, fixed_affine_ras, moving, moving_affine_ras, spacings, numbers.preparation)
    factor = 1.0
    for attempt in range(numbers.attempts):
        matrix = start_ras
        for done, spacing in enumerate(spacings, start=1):
            matrix = _climb(levels[spacing], matrix, start_ras, factor * _STRAIN_COST, numbers)
            listener.advance(attempt * len(spacings) + done, (attempt + 1) * len(spacings))
        first, second, third = np.linalg.svd(matrix[:3, :3], compute_uv=False).tolist()
        if first <= numbers.largest_scale and third >= 1.0 / numbers.largest_scale:
            before, after = (_information(levels[spacings[-1]], start_ras, m, numbers) for m in (start_ras, matrix))
            return AffineRegistration(matrix, (first, second, third), before, after, factor)
        factor *= numbers.stiffening
    msg = (
        f"the best affine transform stretches the patient by {first:.2f} and {third:.2f}, which no two scans of one "
        f"patient do; check the spacing in both headers, or register rigidly"
    )
    raise RegistrationError(msg)


def _climb(
    sources: Sources, matrix: Matrix, start_ras: Matrix, strain_cost: float, numbers: DeformablePreset
) -> Matrix:
    """Climb to the nearest optimum of mutual information less the cost of strain."""
    comparison = _compare(sources, matrix, numbers)
    center = comparison.points_mm.mean(axis=0)
    radius = max(1.0, float(np.sqrt(((comparison.points_mm - center) ** 2).sum(axis=1).mean())))
    arms = np.hstack([(comparison.points_mm - center) / radius, np.ones((len(comparison.points_mm), 1))])
    at_rest = apply_affine(matrix, comparison.points_mm)
    turned = start_ras[:3, :3].T

    def cost(change: Points) -> tuple[float, Points]:
        information, forces = comparison.score(at_rest + np.einsum("nk,ck->nc", arms, change))
        local = turned @ (matrix[:3, :3] + change[:, :3] / radius) - turned @ start_ras[:3, :3]
        strain = (local + local.T) / 2.0
        gradient = -np.einsum("nc,nk->ck", forces, arms)
        gradient[:, :3] += 2.0 * strain_cost / radius * (turned.T @ strain)
        return strain_cost * float(np.sum(strain**2)) - information, gradient

    change = descend(cost, np.zeros((3, 4)), numbers.first_step_mm, numbers.levels[-1].iterations)
    found = matrix.copy()
    found[:3, :3] += change[:, :3] / radius
    found[:3, 3] += change[:, 3] - change[:, :3] @ center / radius
    return found


def _compare(sources: Sources, matrix: Matrix, numbers: DeformablePreset) -> Comparison:
    return compare(sources, lambda points, _: apply_affine(matrix, points), numbers.samples)


def _information(sources: Sources, start_ras: Matrix, matrix: Matrix, numbers: DeformablePreset) -> float:
    """Return the mutual information at the points that the start takes into the moving scan."""
    comparison = _compare(sources, start_ras, numbers)
    return comparison.score(apply_affine(matrix, comparison.points_mm))[0]
