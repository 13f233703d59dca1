"""``medfuse benchmark``: options reach the library, and a short table is shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cli_runs import everything, refusal, run
from made_slices import write_folders, write_split

QUICK = ("--method", "max", "--device", "cpu")


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return write_split(tmp_path / "slices")


def test_a_split_is_benchmarked(split: Path, tmp_path: Path) -> None:
    result = run("benchmark", "fusion", split, "-o", tmp_path / "out", *QUICK, "--number", "2")
    assert result.exit_code == 0, result.stderr
    assert "CT-MRI: published wins over max" in " ".join(result.stdout.split())
    assert "clipped_sum" in result.stdout
    assert "PET-MRI has only one case" in result.stderr
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert written["suites"] == ["published", "sound"]
    assert written["means"]["CT-MRI"]["max"]["sound.VIF_worst"]["slices"] == 1


def test_one_suite_on_two_folders(tmp_path: Path) -> None:
    first, second = write_folders(tmp_path)
    words = ("--second", second, "--suite", "published")
    result = run("benchmark", "fusion", first, "-o", tmp_path / "out", *QUICK, *words)
    assert result.exit_code == 0, result.stderr
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert list(written["means"]) == ["pet"]
    assert not any(name.startswith("sound.") for name in written["means"]["pet"]["max"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--method", "magic"), "method is 'magic'; choose one of"),
        (("--suite", "best"), "suite is 'best'; choose one of published, sound"),
        (("--number", "-1"), "number is -1"),
        (("--weights", "none.safetensors"), "there is no such weights file"),
        (("--part", "holdout"), "lists no 'holdout' pairs"),
    ],
)
def test_what_cannot_be_benchmarked_is_refused(
    split: Path, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    before = everything(tmp_path)
    assert reason in refusal("benchmark", "fusion", split, "-o", tmp_path / "out", *QUICK, *words)
    assert everything(tmp_path) == before


def test_without_a_name_help_is_shown() -> None:
    output = run("benchmark").output
    assert "fusion" in output
    assert "registration" in output


TINY = ("--pair", "MR-NM", "--cell", "4,3", "--trials", "2", "--heads", "1", "--method", "textbook")


def test_registrations_are_benchmarked_alike_by_any_number_of_processes(tmp_path: Path) -> None:
    errors = []
    for jobs in ("1", "2"):
        result = run("benchmark", "registration", "-o", tmp_path / jobs, *TINY, "--jobs", jobs)
        assert result.exit_code == 0, result.stderr
        assert "MR-NM: mean error over the head" in result.stdout
        with (tmp_path / jobs / "trials.csv").open(newline="") as file:
            errors.append([(row["trial"], row["start_mm"], row["error_mm"]) for row in csv.DictReader(file)])
    assert errors[0] == errors[1]
    assert [trial for trial, _, _ in errors[0]] == ["0", "1"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--method", "flirt"), "method is 'flirt'; choose one of medfuse, textbook, elastix, ants"),
        (("--cell", "30"), "cell is '30'; give DEGREES,MM"),
        (("--pair", "MRCT"), "pair is 'MRCT'; give FIXED-MOVING"),
        (("--trials", "0"), "trials is 0"),
        (("none.csv",), "none.csv does not exist"),
    ],
)
def test_registrations_that_cannot_be_benchmarked_are_refused(
    tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    assert reason in refusal("benchmark", "registration", "-o", tmp_path / "out", *words)
    assert everything(tmp_path) == set()
