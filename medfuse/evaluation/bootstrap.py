"""Evaluation: how far a mean could be off, had other patients come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]

FEWEST_CASES = 3
_DRAWS = 2000
_TAILS = (2.5, 97.5)  # percentiles


def resampling_counts(cases: Sequence[str], seed: int = 0) -> Values:
    """Draw cases with replacement, as often as there are cases, many times.

    Slices of one patient resemble each other, so they are drawn together. Where there are fewer than three cases
    nothing can be said about other patients, and single slices are drawn instead.

    Args:
        cases: the case of each slice.
        seed: the same seed gives the same draws.

    Returns:
        (draws, slices): how often each slice was drawn.
    """
    names, case_of_slice = np.unique(np.asarray(cases, dtype=str), return_inverse=True)
    units = case_of_slice if enough_cases(cases) else np.arange(len(cases))
    number = len(names) if enough_cases(cases) else len(cases)
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1.0 / number), size=_DRAWS)
    counts: Values = drawn[:, units].astype(np.float64)
    return counts


def enough_cases(cases: Sequence[str]) -> bool:
    """Tell whether an interval can be drawn over patients, and not only over slices."""
    return len(set(cases)) >= FEWEST_CASES


def bootstrap_intervals(values: Values, counts: Values) -> Values:
    """Return the 95 % percentile intervals of means (Efron, "Bootstrap methods", Annals of Statistics, 1979).

    Args:
        values: (slices, measures); NaN where a measure is not defined, which does not count.
        counts: (draws, slices), of ``resampling_counts``.

    Returns:
        (2, measures): lower and upper end; NaN for a measure that is defined nowhere.
    """
    known = np.isfinite(values)
    totals, numbers = counts @ np.where(known, values, 0.0), counts @ known  # each (draws, measures)
    means = np.divide(totals, numbers, out=np.full_like(totals, np.nan), where=numbers > 0)
    ends = np.full((2, values.shape[1]), np.nan)
    for measure in np.flatnonzero(known.any(axis=0)):
        ends[:, measure] = np.nanpercentile(means[:, measure], _TAILS)
    return ends
