"""Evaluation: how far off each registration method is in each cell, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TypeAlias, TypedDict

import numpy as np

from medfuse.evaluation.registration_options import TEXTBOOK, modalities_of
from medfuse.evaluation.registration_rows import CPU_SECONDS, SECONDS, TrialRow

_SUCCESS_MM = 3.0
_SUCCESS_EMISSION_MM = 5.0  # PET and SPECT resolve less
_EMISSION = {"PT", "NM"}
_NORMAL_QUANTILE = 1.959964  # of 97.5 %


class CellSummary(TypedDict):
    """One method in one cell; a method that gave up counts as infinitely far off.

    ``p95_mm`` is the least error that 95 % of the trials do not exceed. ``success`` has its 95 % interval.
    ``time_ratio`` is the median over trials of the processor time as a multiple of the textbook recipe's, None
    where that did not take part.
    """

    trials: int
    gave_up: int
    median_mm: float
    p95_mm: float
    max_mm: float
    success: float
    success_low: float
    success_high: float
    seconds: float
    cpu_seconds: float
    time_ratio: float | None


Summary: TypeAlias = dict[str, dict[str, dict[str, CellSummary]]]


def success_mm(pair: str) -> float:
    """Return the mean error in mm below which a registration of two modalities has succeeded."""
    return _SUCCESS_EMISSION_MM if _EMISSION & set(modalities_of(pair)) else _SUCCESS_MM


def summarize_trials(rows: Sequence[TrialRow]) -> Summary:
    """Return ``{pair: {cell: {method: summary}}}``, in the order of the rows."""
    times = {row.key: row.scores[CPU_SECONDS] for row in rows if row.method == TEXTBOOK}
    summary: Summary = {}
    for pair, cell, method in dict.fromkeys((row.pair, row.name, row.method) for row in rows):
        members = [row for row in rows if (row.pair, row.name, row.method) == (pair, cell, method)]
        ratios = [
            row.scores[CPU_SECONDS] / textbook
            for row in members
            if (textbook := times.get((pair, cell, row.trial, TEXTBOOK), 0.0)) > 0.0
        ]
        summary.setdefault(pair, {}).setdefault(cell, {})[method] = _summarize(members, success_mm(pair), ratios)
    return summary


def _summarize(rows: Sequence[TrialRow], limit_mm: float, ratios: Sequence[float]) -> CellSummary:
    errors = np.array([row.error_mm for row in rows])
    succeeded = int((errors < limit_mm).sum())
    low, high = wilson_interval(succeeded, len(rows))
    return CellSummary(
        trials=len(rows),
        gave_up=int(np.isinf(errors).sum()),
        median_mm=float(np.median(errors)),
        p95_mm=float(np.quantile(errors, 0.95, method="inverted_cdf")),
        max_mm=float(errors.max()),
        success=succeeded / len(rows),
        success_low=low,
        success_high=high,
        seconds=median(row.scores[SECONDS] for row in rows),
        cpu_seconds=median(row.scores[CPU_SECONDS] for row in rows),
        time_ratio=median(ratios) if ratios else None,
    )


def wilson_interval(succeeded: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate, which unlike a bootstrap's has a width where all succeed.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 1927.

    Args:
        succeeded: how many did.
        number: of how many, at least 1.
    """
    rate, share = succeeded / number, _NORMAL_QUANTILE**2 / number
    middle = (rate + share / 2.0) / (1.0 + share)
    half = float(np.sqrt(rate * (1.0 - rate) * share + share**2 / 4.0)) / (1.0 + share)
    return max(0.0, middle - half), min(1.0, middle + half)
