"""Evaluation: what a comparison of registrations depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medfuse.errors import OptionError
from medfuse.options import MODALITIES, check_choice

REGISTRATION_METHODS = ("medfuse", "textbook", "elastix", "ants")
TEXTBOOK = "textbook"
PAIRS = ("MR-CT", "MR-PT", "MR-NM", "MR-MR")

_MOST_DEGREES = 180.0
_MOST_MM = 1000.0


@dataclass(frozen=True)
class Cell:
    """How far the moving volume is put out of place at most.

    Attributes:
        degrees: largest turn about a random axis.
        mm: largest shift in a random direction.
    """

    degrees: float
    mm: float

    def __post_init__(self) -> None:
        for name, value, most in (("degrees", self.degrees, _MOST_DEGREES), ("mm", self.mm, _MOST_MM)):
            if not (math.isfinite(value) and 0.0 <= value <= most):
                msg = f"cell has {value:g} {name}; give 0 to {most:g}"
                raise OptionError(msg)

    def __str__(self) -> str:
        """Return ``"DEGREES,MM"``."""
        return f"{self.degrees:g},{self.mm:g}"

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read ``"DEGREES,MM"``, such as ``"30,30"``.

        Raises:
            OptionError: if it is not two numbers, or one is out of range.
        """
        try:
            degrees, mm = (float(part) for part in text.split(","))
        except ValueError:
            msg = f"cell is {text!r}; give DEGREES,MM, such as 30,30"
            raise OptionError(msg) from None
        return cls(degrees, mm)


CELLS = (Cell(10.0, 10.0), Cell(30.0, 30.0), Cell(60.0, 60.0))


def modalities_of(pair: str) -> tuple[str, str]:
    """Return the fixed and the moving modality of a pair, such as ``"MR-CT"``.

    Raises:
        OptionError: if it does not name two modalities.
    """
    parts = pair.split("-")
    if len(parts) != 2:
        msg = f"pair is {pair!r}; give FIXED-MOVING, such as MR-CT"
        raise OptionError(msg)
    for part in parts:
        check_choice(f"modality in pair {pair!r}", part, MODALITIES)
    return parts[0], parts[1]


@dataclass(frozen=True)
class RegistrationBenchmarkOptions:
    """Everything that ``benchmark_registration`` depends on, beside the data.

    Attributes:
        methods: what to compare, of ``REGISTRATION_METHODS``; ``elastix`` and ``ants`` need the extra ``baselines``.
        pairs: each ``"FIXED-MOVING"`` by modality.
        cells: how far the moving volume is put out of place.
        trials: number of planted transforms in each cell of each pair; they take turns among the heads.
        heads: number of phantom heads, if no data is given.
        seed: of the planted transforms, the phantom heads and what the baselines draw.
        jobs: processes that register, each bound to processors of its own where the system can do that.
        threads: threads and processors that each method has.
        overwrite: replace an earlier result.
    """

    methods: tuple[str, ...] = ("medfuse", TEXTBOOK)
    pairs: tuple[str, ...] = PAIRS
    cells: tuple[Cell, ...] = CELLS
    trials: int = 50
    heads: int = 5
    seed: int = 0
    jobs: int = 1
    threads: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        for method in self.methods:
            check_choice("method", method, REGISTRATION_METHODS)
        for pair in self.pairs:
            modalities_of(pair)
        for name in ("methods", "pairs", "cells"):
            chosen = getattr(self, name)
            if not chosen or len(set(chosen)) < len(chosen):
                msg = f"{name} names nothing, or one twice; give each once"
                raise OptionError(msg)
        for name, least in (("trials", 1), ("heads", 1), ("seed", 0), ("jobs", 1), ("threads", 1)):
            if getattr(self, name) < least:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least {least}"
                raise OptionError(msg)
