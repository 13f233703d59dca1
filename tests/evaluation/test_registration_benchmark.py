"""The whole comparison: what is written, that it goes on after an interruption, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medfuse.errors import OutputError, RegistrationError
from medfuse.evaluation import registration_benchmark, registration_work
from medfuse.evaluation.registration_benchmark import benchmark_registration
from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_options import Cell, RegistrationBenchmarkOptions
from medfuse.evaluation.registration_subjects import Study
from medfuse.evaluation.registration_work import Mapper

OPTIONS = RegistrationBenchmarkOptions(
    methods=("medfuse", "textbook"), pairs=("MR-CT",), cells=(Cell(5, 5), Cell(20, 20)), trials=3, heads=2
)
OUTPUTS = ["registration.json", "registration.md", "registration.png", "run.json", "trials.csv"]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do the work in this process by two made-up methods; return the list of who registered something."""
    calls: list[str] = []

    def method(name: str, find: Callable[[Study], np.ndarray]) -> Callable[..., Found]:
        def register(study: Study, *_: object) -> Found:
            calls.append(name)
            return Found(find(study), {"certainty": 0.5})

        return register

    @contextmanager
    def here(_jobs: int, _threads: int) -> Iterator[Mapper]:
        yield map

    right = method("medfuse", lambda study: study.fixed_to_moving_ras)
    wrong = method("textbook", lambda _: np.eye(4))
    monkeypatch.setattr(registration_work, "RIVALS", {"medfuse": right, "textbook": wrong})
    monkeypatch.setattr(registration_benchmark, "workers", here)
    registration_work._warm_up.cache_clear()
    return calls


def rows_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(folder: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows_in(folder)]


def test_all_trials_are_written(registered: list[str], tmp_path: Path) -> None:
    result = benchmark_registration(None, tmp_path / "out", OPTIONS)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == OUTPUTS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    rows = rows_in(tmp_path / "out")
    assert len(rows) == 2 * 3 * 2
    assert [row["trial"] for row in rows[:6]] == ["0", "0", "1", "1", "2", "2"]
    assert {row["certainty"] for row in rows} == {"0.5"}
    assert {row["case"] for row in rows} == {"head 0", "head 1"}
    cells = result["summary"]["MR-CT"]
    assert list(cells) == ["5,5", "20,20"]
    assert cells["20,20"]["medfuse"]["max_mm"] < 1e-9
    assert cells["20,20"]["textbook"]["median_mm"] > cells["5,5"]["textbook"]["median_mm"] > 0.0
    assert json.loads((tmp_path / "out" / "registration.json").read_text())["subjects"] == "2 phantom heads"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["options"]["trials"] == 3


def test_the_same_seed_gives_the_same_trials(registered: list[str], tmp_path: Path) -> None:
    for name in ("first", "again"):
        benchmark_registration(None, tmp_path / name, OPTIONS)
    assert untimed(tmp_path / "first") == untimed(tmp_path / "again")


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Let the work end with an error after a number of trials."""

    @contextmanager
    def short(_jobs: int, _threads: int) -> Iterator[Mapper]:
        def mapping(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
            for number, task in enumerate(tasks):
                if number == after:
                    raise error
                yield function(task)

        yield mapping

    monkeypatch.setattr(registration_benchmark, "workers", short)


def test_an_interrupted_comparison_goes_on(
    registered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark_registration(None, tmp_path / "whole", OPTIONS)
    log = tmp_path / "out.trials.jsonl"
    for after in (3, 1):
        with monkeypatch.context() as patch:
            interrupt(patch, after, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                benchmark_registration(None, tmp_path / "out", OPTIONS)
        assert not (tmp_path / "out").exists()
        with log.open("a") as file:
            file.write('{"method": "medfu')  # the line that was being written
    registered.clear()
    benchmark_registration(None, tmp_path / "out", OPTIONS)
    assert len(registered) == 2 * (6 - 4)
    assert untimed(tmp_path / "out") == untimed(tmp_path / "whole")
    assert not log.exists()


def test_what_another_comparison_left_is_not_taken(
    registered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, 1, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            benchmark_registration(None, tmp_path / "out", OPTIONS)
    other = RegistrationBenchmarkOptions(pairs=("MR-CT",), trials=1, seed=1)
    with pytest.raises(OutputError, match="is of another comparison; delete it"):
        benchmark_registration(None, tmp_path / "out", other)
    log = tmp_path / "out.trials.jsonl"
    head, *rest = log.read_text().splitlines()
    log.write_text("\n".join([head, "{}", *rest]) + "\n")
    with pytest.raises(OutputError, match="is damaged"):
        benchmark_registration(None, tmp_path / "out", OPTIONS)


def test_a_killed_process_is_said_in_one_line(
    registered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, 2, BrokenProcessPool())
    with pytest.raises(RegistrationError, match="the same command goes on from here"):
        benchmark_registration(None, tmp_path / "out", OPTIONS)
    assert (tmp_path / "out.trials.jsonl").exists()


def test_an_output_that_exists_is_kept(registered: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="exists"):
        benchmark_registration(None, tmp_path / "out", OPTIONS)
    assert registered == []


def test_progress_runs_to_its_end(registered: list[str], tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int]] = []

        def start(self, step: str) -> None: ...

        def advance(self, done: int, total: int) -> None:
            self.seen.append((done, total))

        def finish(self) -> None: ...

    listener = Listener()
    benchmark_registration(None, tmp_path / "out", OPTIONS, listener)
    assert listener.seen == [(done, 6) for done in range(1, 7)]
