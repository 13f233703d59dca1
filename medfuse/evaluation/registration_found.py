"""Evaluation: what a registration method answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from medfuse.evaluation.registration_subjects import Study
from medfuse.geometry import Matrix


@dataclass(frozen=True)
class Found:
    """The transform that a method found, and what it says of it.

    Attributes:
        fixed_to_moving_ras: (4, 4) transform of RAS points in mm.
        figures: numbers of its own, such as an estimated error in mm, by name.
        verdict: its own judgement; empty if it passes none.
    """

    fixed_to_moving_ras: Matrix
    figures: dict[str, float] = field(default_factory=dict)
    verdict: str = ""


Register: TypeAlias = Callable[[Study, int, int], Found]
"""Registers a study with a seed of at least 1 and a number of threads; it does not look at the truth."""
