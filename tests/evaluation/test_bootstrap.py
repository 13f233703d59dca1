"""Intervals: drawn over patients where there are some, never over what is not defined."""

from __future__ import annotations

import numpy as np

from medfuse.evaluation.bootstrap import bootstrap_intervals, enough_cases, resampling_counts

CASES = [case for case in "abcdef" for _ in range(10)]


def test_slices_of_one_case_are_drawn_together() -> None:
    counts = resampling_counts(CASES)
    assert np.array_equal(counts[:, ::10].repeat(10, axis=1), counts)
    assert np.all(counts[:, ::10].sum(axis=1) == 6)
    assert np.array_equal(counts, resampling_counts(CASES))
    assert not np.array_equal(counts, resampling_counts(CASES, seed=1))


def test_with_few_cases_slices_are_drawn_one_by_one() -> None:
    few = ["a"] * 5 + ["b"] * 5
    assert not enough_cases(few)
    assert enough_cases(CASES)
    counts = resampling_counts(few)
    assert np.all(counts.sum(axis=1) == 10)
    assert not np.all(counts[:, :5].sum(axis=1) % 5 == 0)


def test_patients_that_differ_widen_the_interval() -> None:
    values = np.repeat(np.arange(6.0), 10)[:, None]
    by_case = bootstrap_intervals(values, resampling_counts(CASES))
    by_slice = bootstrap_intervals(values, resampling_counts([str(index) for index in range(60)]))
    assert np.ptp(by_case) > 2.0 * np.ptp(by_slice)
    assert by_case[0, 0] < 2.5 < by_case[1, 0]


def test_a_constant_has_no_width_and_the_undefined_no_interval() -> None:
    values = np.stack([np.full(60, 3.0), np.full(60, np.nan), np.where(np.arange(60) < 30, 1.0, np.nan)], axis=1)
    low, high = bootstrap_intervals(values, resampling_counts(CASES))
    assert low[0] == high[0] == 3.0
    assert np.isnan(low[1])
    assert low[2] == high[2] == 1.0


def test_the_interval_of_a_mean_is_about_two_standard_errors() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    low, high = bootstrap_intervals(values, resampling_counts([str(index) for index in range(400)]))[:, 0]
    assert abs((high - low) / (2 * 1.96 * values.std() / 20) - 1.0) < 0.06
