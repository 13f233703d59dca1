"""Means by collection and method, and the notes on how far they carry."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.rows import Row, measures_of, write_csv
from medfuse.evaluation.summary import interval_notes, summarize

ROWS = [
    Row("max", "CT", "1", "a", {"x": 1.0, "y": math.nan}),
    Row("max", "CT", "2", "b", {"x": 3.0, "y": 5.0}),
    Row("max", "CT", "3", "c", {"x": 8.0, "y": math.inf}),
    Row("net", "CT", "1", "a", {"x": 2.0, "z": 1.0}),
    Row("max", "PET", "1", "a", {"x": 7.0}),
]


def test_means_leave_out_what_is_not_defined() -> None:
    means = summarize(ROWS)
    assert {name: list(methods) for name, methods in means.items()} == {"CT": ["max", "net"], "PET": ["max"]}
    assert means["CT"]["max"]["x"]["mean"] == 4.0
    assert (means["CT"]["max"]["x"]["low"], means["CT"]["max"]["x"]["high"]) == (1.0, 8.0)
    assert means["CT"]["max"]["y"] == {"mean": 5.0, "low": 5.0, "high": 5.0, "slices": 1}
    assert means["PET"]["max"]["x"]["mean"] == 7.0


def test_a_measure_defined_nowhere_has_no_mean() -> None:
    mean = summarize([Row("copy", "CT", "1", "a", {"SCD": math.nan})])["CT"]["copy"]["SCD"]
    assert mean["slices"] == 0
    assert math.isnan(mean["mean"])


def test_few_cases_are_named() -> None:
    (note,) = interval_notes(ROWS)
    assert note.startswith("PET has only one case")
    two = [Row("max", "CT", case, "a", {"x": 1.0}) for case in ("1", "2")]
    assert interval_notes(two)[0].startswith("CT has only 2 cases")


def test_rows_become_csv(tmp_path: Path) -> None:
    write_csv(ROWS, tmp_path / "rows.csv", ("method", "case"))
    with (tmp_path / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == ["method", "case", "x", "y", "z"]
    assert measures_of(ROWS) == ["x", "y", "z"]
    assert lines[0] == {"method": "max", "case": "1", "x": "1.0", "y": "", "z": ""}
    assert float(lines[4]["x"]) == 7.0


def test_json_holds_no_nan(tmp_path: Path) -> None:
    write_json({"a": [math.nan, 1.5], "b": {"c": -math.inf, "d": "x"}}, tmp_path / "x.json")

    def refuse(constant: str) -> None:
        pytest.fail(constant)

    read = json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)
    assert read == {"a": [None, 1.5], "b": {"c": None, "d": "x"}}
