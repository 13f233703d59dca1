"""Evaluation: one row for each trial and method."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.rows import Row

ERROR, SECONDS, CPU_SECONDS = "error_mm", "seconds", "cpu_seconds"
COLUMNS = ("pair", "degrees", "mm", "trial", "case", "method", "verdict", "failure")


@dataclass(frozen=True)
class TrialRow(Row):
    """How one method did in one trial.

    Beside the attributes of every row: ``collection`` is the pair, ``name`` the cell. ``scores`` has ``start_mm`` (the
    mean distance over the head that was planted), ``error_mm`` and ``error_max_mm`` (mean and largest target
    registration error; absent if the method gave up), ``seconds``, ``cpu_seconds`` and figures of the method's own.

    Attributes:
        cell: how far the volume was put out of place at most.
        trial: number within pair and cell.
        verdict: what the method itself says; empty if nothing.
        failure: why the method gave up; empty if it did not.
    """

    cell: Cell
    trial: int
    verdict: str = ""
    failure: str = ""

    @property
    def pair(self) -> str:
        """``"FIXED-MOVING"`` by modality."""
        return self.collection

    @property
    def degrees(self) -> float:
        """Largest planted turn."""
        return self.cell.degrees

    @property
    def mm(self) -> float:
        """Largest planted shift."""
        return self.cell.mm

    @property
    def error_mm(self) -> float:
        """Mean target registration error, infinite if the method gave up."""
        return self.scores.get(ERROR, math.inf)

    @property
    def key(self) -> tuple[str, str, int, str]:
        """Which trial and which method."""
        return self.pair, self.name, self.trial, self.method
