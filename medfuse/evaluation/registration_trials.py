"""Evaluation: which transforms are planted into which heads."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_subjects import Study, Subject
from medfuse.geometry import Matrix, Points


@dataclass(frozen=True)
class Trial:
    """One planted transform.

    Attributes:
        pair: ``"FIXED-MOVING"`` by modality.
        cell: how far the moving volume may be put out of place.
        number: which trial of the pair and cell, from 0.
        seed: of the benchmark.
        subject: whose volumes.
    """

    pair: str
    cell: Cell
    number: int
    seed: int
    subject: Subject

    @property
    def random(self) -> np.random.Generator:
        """What the trial draws from: a stream of its own, whatever else is compared."""
        own = zlib.crc32(f"{self.pair} {self.cell}".encode())
        return np.random.default_rng([self.seed, own, self.number])


def plan(subjects: Mapping[str, Sequence[Subject]], cells: Sequence[Cell], number: int, seed: int) -> list[Trial]:
    """Return all trials: pair by pair and cell by cell, the subjects of a pair taking turns."""
    return [
        Trial(pair, cell, trial, seed, those[trial % len(those)])
        for pair, those in subjects.items()
        for cell in cells
        for trial in range(number)
    ]


def plant(study: Study, trial: Trial) -> Study:
    """Put the moving volume out of place by a random rigid transform of the trial's cell.

    Only the affine changes, so nothing is interpolated. First the headers are put right by the known truth, then
    wrong by what is drawn: that alone is then the truth, and no trial is harder than its cell says.
    """
    middle = study.points_mm.mean(axis=0)
    planted = draw_rigid(trial.random, trial.cell, middle)
    back = planted @ np.linalg.inv(study.fixed_to_moving_ras)
    return replace(study, moving_affine_ras=back @ study.moving_affine_ras, fixed_to_moving_ras=planted)


def draw_rigid(random: np.random.Generator, cell: Cell, center_mm: Points) -> Matrix:
    """Draw a turn about a center and a shift.

    Args:
        random: what to draw from.
        cell: the largest angle and shift; both are uniform up to it.
        center_mm: (3,) what is turned about.

    Returns:
        The (4, 4) transform: axis and direction of the shift are uniform on the sphere.
    """
    axis, direction = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
    angle = np.radians(random.uniform(0.0, cell.degrees))
    cross = np.cross(np.eye(3), axis).T  # cross @ v is axis x v
    matrix = np.eye(4)
    matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)  # Rodrigues' formula
    matrix[:3, 3] = center_mm + direction * random.uniform(0.0, cell.mm) - matrix[:3, :3] @ center_mm
    return matrix
