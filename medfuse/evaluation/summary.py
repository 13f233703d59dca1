"""Evaluation: the mean of every measure for each collection and method, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypedDict

import numpy as np

from medfuse.evaluation.bootstrap import bootstrap_intervals, enough_cases, resampling_counts
from medfuse.evaluation.rows import Row, measures_of


class Mean(TypedDict):
    """A mean over slices, the 95 % interval of it, and how many slices the measure is defined on."""

    mean: float
    low: float
    high: float
    slices: int


Means: TypeAlias = dict[str, dict[str, dict[str, Mean]]]


def summarize(rows: Sequence[Row]) -> Means:
    """Return ``{collection: {method: {measure: mean}}}``; what is not defined does not count."""
    summary: Means = {}
    for collection in sorted({row.collection for row in rows}):
        members = [row for row in rows if row.collection == collection]
        methods = dict.fromkeys(row.method for row in members)
        summary[collection] = {
            method: summarize_method([row for row in members if row.method == method]) for method in methods
        }
    return summary


def summarize_method(rows: Sequence[Row]) -> dict[str, Mean]:
    """Return the mean of each measure over the rows of one method and collection."""
    measures = measures_of(rows)
    values = np.array([[row.scores.get(measure, np.nan) for measure in measures] for row in rows])
    values[~np.isfinite(values)] = np.nan
    low, high = bootstrap_intervals(values, resampling_counts([row.case for row in rows]))
    known = np.isfinite(values).sum(axis=0)
    totals = np.nansum(values, axis=0)
    return {
        measure: Mean(
            mean=float(totals[index] / known[index]) if known[index] else float("nan"),
            low=float(low[index]),
            high=float(high[index]),
            slices=int(known[index]),
        )
        for index, measure in enumerate(measures)
    }


def interval_notes(rows: Sequence[Row]) -> list[str]:
    """Say for which collections the intervals are over slices, because there are too few cases."""
    notes = []
    for collection in sorted({row.collection for row in rows}):
        cases = {row.case for row in rows if row.collection == collection}
        if not enough_cases(list(cases)):
            only = "one case" if len(cases) == 1 else f"{len(cases)} cases"
            notes.append(f"{collection} has only {only}: its intervals are over slices and say nothing of others")
    return notes
