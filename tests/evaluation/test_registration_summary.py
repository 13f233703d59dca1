"""Figures of a cell, and their tables and picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_plot import write_registration_plot
from medfuse.evaluation.registration_rows import TrialRow
from medfuse.evaluation.registration_summary import success_mm, summarize_trials, wilson_interval
from medfuse.evaluation.registration_tables import registration_markdown

CELL = Cell(30, 30)


def row(method: str, trial: int, error_mm: float, seconds: float = 1.0, pair: str = "MR-CT") -> TrialRow:
    scores = {"start_mm": 20.0, "seconds": seconds, "cpu_seconds": seconds}
    scores |= {"error_mm": error_mm} if math.isfinite(error_mm) else {}
    return TrialRow(method, pair, "head 0", str(CELL), scores, CELL, trial)


def test_errors_are_summed_up() -> None:
    rows = [row("medfuse", trial, error) for trial, error in enumerate([*np.linspace(0.1, 2.0, 19), 40.0])]
    summary = summarize_trials(rows)["MR-CT"]["30,30"]["medfuse"]
    assert summary["trials"] == 20
    assert summary["median_mm"] == pytest.approx(np.median([one.error_mm for one in rows]))
    assert summary["p95_mm"] == pytest.approx(2.0)  # 19 of 20
    assert summary["max_mm"] == 40.0
    assert summary["success"] == 0.95


def test_giving_up_counts_as_far_off() -> None:
    rows = [row("medfuse", trial, error) for trial, error in enumerate([1.0, 2.0, math.inf, math.inf, math.inf])]
    summary = summarize_trials(rows)["MR-CT"]["30,30"]["medfuse"]
    assert summary["gave_up"] == 3
    assert summary["median_mm"] == summary["p95_mm"] == math.inf
    assert summary["success"] == 0.4


def test_emission_succeeds_within_more() -> None:
    assert [success_mm(pair) for pair in ("MR-CT", "MR-MR", "MR-PT", "NM-MR")] == [3.0, 3.0, 5.0, 5.0]
    for pair, success in (("MR-CT", 0.0), ("MR-PT", 1.0)):
        assert summarize_trials([row("ants", 0, 4.0, pair=pair)])[pair]["30,30"]["ants"]["success"] == success


def test_time_is_set_beside_the_textbook_trial_by_trial() -> None:
    rows = [row("textbook", trial, 1.0, seconds) for trial, seconds in enumerate([1.0, 10.0, 100.0])]
    rows += [row("medfuse", trial, 1.0, seconds) for trial, seconds in enumerate([3.0, 20.0, 500.0])]
    methods = summarize_trials(rows)["MR-CT"]["30,30"]
    assert methods["medfuse"]["time_ratio"] == 3.0
    assert methods["textbook"]["time_ratio"] == 1.0
    assert summarize_trials(rows[3:])["MR-CT"]["30,30"]["medfuse"]["time_ratio"] is None


def test_a_rate_of_one_still_has_an_interval() -> None:
    low, high = wilson_interval(50, 50)
    assert 0.9 < low < 0.95
    assert high == pytest.approx(1.0)
    low, high = wilson_interval(0, 5)
    assert low == pytest.approx(0.0)
    assert 0.3 < high < 0.6
    low, high = wilson_interval(50, 100)
    assert low == pytest.approx(0.404, abs=0.001)  # as in tables of the interval
    assert high == pytest.approx(0.596, abs=0.001)


def rows_of_two() -> list[TrialRow]:
    errors = {"medfuse": [0.4, 0.5, 0.6], "textbook": [0.9, 30.0, math.inf]}
    return [row(method, trial, error) for method, them in errors.items() for trial, error in enumerate(them)]


def test_tables_show_the_best_and_say_how() -> None:
    rows = rows_of_two()
    result = {"summary": summarize_trials(rows), "subjects": "1 phantom head", "seed": 0, "threads": 1}
    text = registration_markdown(result)
    lines = [line for line in text.splitlines() if line.startswith("| 30°, 30 mm")]
    assert lines[0].startswith("| 30°, 30 mm | `medfuse` | 3 | **0.50** | 0.60 | 100% (44% to 100%) | 0 |")
    assert lines[1].startswith("| 30°, 30 mm | `textbook` | 3 | 30.0 | – | 33% ")  # noqa: RUF001
    assert "with 1 thread each" in text
    assert "below 3 mm" in text


def test_the_summary_is_json_that_every_reader_takes(tmp_path: Path) -> None:
    write_json({"summary": summarize_trials(rows_of_two())}, tmp_path / "a.json")
    assert '"p95_mm": null' in (tmp_path / "a.json").read_text()


def test_the_picture_has_a_panel_for_each_pair_and_cell(tmp_path: Path) -> None:
    one = rows_of_two()
    more = [row("medfuse", 0, 0.0, pair="MR-PT"), row("ants", 0, 1e6, pair="MR-PT"), *one]
    for name, rows in (("one", one), ("more", more)):
        write_registration_plot(rows, tmp_path / f"{name}.png")
    with Image.open(tmp_path / "one.png") as small, Image.open(tmp_path / "more.png") as large:
        assert large.size[0] == small.size[0]
        assert large.size[1] > 1.5 * small.size[1]
    write_registration_plot(one, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "one.png").read_bytes()
