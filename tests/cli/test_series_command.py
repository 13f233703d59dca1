"""``medfuse series`` says what there is, for people and for programs, without naming the patient."""

from __future__ import annotations

import json
from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from medfuse.cli.series import series

STORED = np.random.default_rng(3).integers(0, 900, (7, 6, 5)).astype(np.int16)
APP = typer.Typer()
APP.command()(series)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    make.save(make.series(STORED, "MR", name="T1", number=1), tmp_path / "study" / "a")
    localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    make.save(make.series(STORED, "CT", name="scout of Roe", number=2, extra=localizer), tmp_path / "study" / "b")
    make.save(make.series(STORED, "CT", name="gap", number=3)[:3], tmp_path / "study" / "c")
    (tmp_path / "study" / "readme.txt").write_text("hello")
    return tmp_path / "study"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, list(arguments))


def test_each_series_is_a_line(study):
    result = run(str(study))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("  1 MR T1; 5 slices of 7 x 6; 1 x 1 x 2 mm; axial; frame of reference ")
    assert lines[0].endswith("; usable")
    assert "scout of ***" in lines[1]
    assert lines[1].endswith("not usable: a localizer")
    assert lines[2].endswith("not usable: has 3 slices; a volume needs at least 4")
    assert lines[3] == "skipped: readme.txt is no DICOM file"
    assert not any(word in result.stdout for word in ("Roe", "Jane", "SECRET"))


def test_json_for_programs(study):
    found = json.loads(run(str(study), "--json").stdout)
    first = found["series"][0]
    assert (first["modality"], first["slices"], first["usable"], first["spacing_mm"]) == (
        "MR",
        5,
        True,
        [1.0, 1.0, 2.0],
    )
    assert first["series_uid"] == make.uid("study", "T1")
    assert "frames" not in first
    assert found["skipped"] == [{"name": "readme.txt", "reason": "is no DICOM file", "count": 1}]


def test_nothing_there_is_one_line(tmp_path):
    result = run(str(tmp_path))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "holds no DICOM image" in line
