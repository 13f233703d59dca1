"""``medfuse benchmark``: options reach the library, and a short table is shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cli_runs import everything, refusal, run
from made_slices import write_folders, write_split

from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_subjects import phantom_heads
from medfuse.evaluation.registration_trials import plan
from medfuse.evaluation.registration_work import Task, do_trial

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


def test_registrations_are_benchmarked_by_any_number_of_processes_alike(tmp_path: Path) -> None:
    words = ("--pair", "MR-NM", "--cell", "4,3", "--trials", "2", "--heads", "1", "--method", "textbook", "--jobs", "2")
    result = run("benchmark", "registration", "-o", tmp_path / "out", *words)
    assert result.exit_code == 0, result.stderr
    assert "MR-NM: mean error over the head" in result.stdout
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        errors = [(float(row["start_mm"]), float(row["error_mm"])) for row in csv.DictReader(file)]
    cell = Cell(4, 3)
    trials = plan({"MR-NM": phantom_heads("MR-NM", 1, 0)}, [cell], 2, 0)
    here = [do_trial(Task(trial, ("textbook",), 1))[0] for trial in trials]
    assert errors == [(row.scores["start_mm"], row.error_mm) for row in here]
    assert errors[0] != errors[1]


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
