"""What is planted for the verdict on a registration to find: the kinds of cases, and the heads they are tried on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from verdict_patients import Scan

from medfuse.geometry import Matrix

FAILED_MM = 5.0
SEEDS = {
    "calibration": tuple(range(1, 9)),
    "first": tuple(range(101, 109)),
    "second": tuple(range(201, 206)),
    "report": tuple(range(301, 306)),
}
PAIRS = (("MR_T1", "CT"), ("MR_T1", "PT"), ("MR_T1", "NM"), ("MR_T1", "MR_T2"), ("CT", "PT"), ("CT", "MR_T1"))
EMISSION = ("PT", "NM")
GOOD_KINDS = ("right", "noisy", "mildly cropped", "registered")
DOUBTFUL_KINDS = ("2 to 5 mm",)
WRONG_BY_NATURE = ("wrong patient", "left-right flip", "couch only", "noise", "tilt", "deformed")


@dataclass(frozen=True)
class Recipe:
    """What is planted, before any volume is made.

    Attributes:
        kind: what is wrong, or why it is right.
        seed: of the patient.
        fixed: name of the fixed volume.
        moving: name of the moving volume.
        variant: number of the case among those alike; its random numbers depend on it.
    """

    kind: str
    seed: int
    fixed: str
    moving: str
    variant: int = 0

    @property
    def random(self) -> np.random.Generator:
        """The random numbers of this case alone."""
        return np.random.default_rng(int(self.key, 16))

    @property
    def key(self) -> str:
        """A name for files."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Case:
    """One planted case.

    Attributes:
        recipe: how it was made.
        fixed: the fixed scan.
        moving: the moving scan.
        fixed_to_moving_ras: the transform to judge.
        true_error_mm: mean distance over the head between where it takes points and where they belong; NaN
            where nothing of the patient is in the moving scan.
    """

    recipe: Recipe
    fixed: Scan
    moving: Scan
    fixed_to_moving_ras: Matrix
    true_error_mm: float

    @property
    def is_failure(self) -> bool:
        """Whether to pass it would be a silent failure."""
        nature = self.recipe.kind in ("wrong patient", "left-right flip", "couch only", "noise", "tilt")
        return nature or not self.true_error_mm <= FAILED_MM

    @property
    def is_good(self) -> bool:
        """Whether anything but a pass would be a false alarm."""
        most = 3.0 if self.recipe.moving in EMISSION else 2.0
        return self.recipe.kind in GOOD_KINDS and self.true_error_mm <= most


def recipes(which: str) -> list[Recipe]:
    """List the cases of a set, one of ``SEEDS``."""
    seeds = SEEDS[which]
    every = [(seed, *pair) for seed in seeds for pair in PAIRS]
    main = [(seed, *pair) for seed in seeds for pair in PAIRS[:4]]
    first = {"calibration": (0, 0), "first": (1, 1)}.get(which, (0, 1))  # of every other head
    half = [spec for i, spec in enumerate(main) if i % 2 == first[i // len(PAIRS[:4]) % 2]]
    listed = [Recipe("right", *spec) for spec in every]
    listed += [Recipe(kind, *spec) for kind in ("noisy", "mildly cropped", "registered") for spec in main]
    listed += [Recipe("2 to 5 mm", *spec) for spec in half]
    listed += [
        Recipe(kind, *spec)
        for kind in ("wrong patient", "left-right flip", "6 mm off", "false optimum")
        for spec in every
    ]
    listed += [Recipe(kind, *spec) for kind in ("tilt", "deformed", "turned by 180 degrees") for spec in main]
    listed += [Recipe(kind, *spec) for kind in ("partial overlap", "cropped", "noise") for spec in half]
    listed += [Recipe("couch only", seed, "MR_T1", "CT") for seed in seeds]
    return listed
