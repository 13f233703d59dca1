"""Evaluation: registration methods find the same planted transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from medfuse.errors import RegistrationError
from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.registration_log import TrialLog
from medfuse.evaluation.registration_options import RegistrationBenchmarkOptions
from medfuse.evaluation.registration_pairs import LIST_NAME, pairs_of, read_file_pairs
from medfuse.evaluation.registration_plot import write_registration_plot
from medfuse.evaluation.registration_rivals import check_installed
from medfuse.evaluation.registration_rows import COLUMNS, SECONDS, TrialRow
from medfuse.evaluation.registration_subjects import Subject, phantom_heads
from medfuse.evaluation.registration_summary import summarize_trials
from medfuse.evaluation.registration_tables import registration_markdown
from medfuse.evaluation.registration_trials import Trial, plan
from medfuse.evaluation.registration_work import Mapper, Task, do_trial, workers
from medfuse.evaluation.rows import write_csv
from medfuse.io.output_folder import whole_folder
from medfuse.progress import Progress, Silent, showing
from medfuse.report.record import complete_record, file_hash, write_record

_PACKAGES = {"elastix": "itk-elastix", "ants": "antspyx"}


def benchmark_registration(
    data: Path | None,
    output: Path,
    options: RegistrationBenchmarkOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare registration methods on known rigid transforms.

    Writes ``trials.csv`` (a row for each trial and method), ``registration.json`` (what is returned),
    ``registration.md`` (the tables), ``registration.png`` and ``run.json``. Finished trials are kept in
    ``OUTPUT.trials.jsonl`` until then; the same call goes on from them. What is planted depends on the seed alone.

    Args:
        data: a list of aligned pairs; see ``registration_pairs.read_file_pairs``. None for phantom heads.
        output: the folder to write.
        options: what to compare.
        progress: told how many trials are done.

    Returns:
        ``summary``, see ``registration_summary.CellSummary``; ``subjects``, ``threads`` and ``seed``.

    Raises:
        MedfuseError: one of its kinds, in one line, for any data, option or output that cannot be used.
    """
    options = options or RegistrationBenchmarkOptions()
    check_installed(options.methods)
    subjects = _subjects(data, options)
    trials = plan(subjects, options.cells, options.trials, options.seed)
    with whole_folder(output, options.overwrite, inputs=[] if data is None else [data]) as folder:
        log = TrialLog(output, _common(data, options))
        with workers(options.jobs, options.threads) as mapping, showing(progress or Silent(), "register") as listener:
            _do_all(trials, options, log, mapping, listener)
        rows = _in_order(log.rows, trials, options.methods)
        result = {
            "subjects": _described(subjects, data),
            "seed": options.seed,
            "threads": options.threads,
            "summary": summarize_trials(rows),
        }
        write_csv(rows, folder / "trials.csv", COLUMNS)
        write_json(result, folder / "registration.json")
        (folder / "registration.md").write_text(registration_markdown(result), encoding="utf-8")
        write_registration_plot(rows, folder / "registration.png")
        write_record(_record(data, options, rows), folder)
    log.remove()
    return result


def _subjects(data: Path | None, options: RegistrationBenchmarkOptions) -> dict[str, Sequence[Subject]]:
    if data is None:
        return {pair: phantom_heads(pair, options.heads, options.seed) for pair in options.pairs}
    known = read_file_pairs(data)
    return {pair: pairs_of(pair, known) for pair in options.pairs}


def _do_all(
    trials: Sequence[Trial], options: RegistrationBenchmarkOptions, log: TrialLog, mapping: Mapper, progress: Progress
) -> None:
    """Do what the log does not have yet."""
    done = {row.key for row in log.rows}
    tasks = []
    for trial in trials:
        left = [name for name in options.methods if (trial.pair, str(trial.cell), trial.number, name) not in done]
        if left:
            tasks.append(Task(trial, tuple(left), options.threads))
    try:
        for number, rows in enumerate(mapping(do_trial, tasks), start=1):
            log.append(rows)
            progress.advance(len(trials) - len(tasks) + number, len(trials))
    except BrokenProcessPool as error:
        msg = "a process that registers was killed, perhaps for lack of memory; the same command goes on from here"
        raise RegistrationError(msg) from error


def _in_order(rows: Sequence[TrialRow], trials: Sequence[Trial], methods: Sequence[str]) -> list[TrialRow]:
    """Return the rows that were asked for: by trial, then by method."""
    found = {row.key: row for row in rows}
    return [found[trial.pair, str(trial.cell), trial.number, method] for trial in trials for method in methods]


def _common(data: Path | None, options: RegistrationBenchmarkOptions) -> dict[str, Any]:
    """Return what all rows of one comparison depend on."""
    heads = options.heads if data is None else None
    return {"seed": options.seed, "threads": options.threads, "heads": heads, "data": _hash(data)}


def _hash(data: Path | None) -> str | None:
    return None if data is None else file_hash(data / LIST_NAME if data.is_dir() else data)


def _described(subjects: Mapping[str, Sequence[Subject]], data: Path | None) -> str:
    number = len({subject.case for those in subjects.values() for subject in those})
    kind = "phantom head" if data is None else "listed pair"
    return f"{number} {kind}{'' if number == 1 else 's'}"


def _record(data: Path | None, options: RegistrationBenchmarkOptions, rows: Sequence[TrialRow]) -> dict[str, Any]:
    """Say what was compared; folders are not named."""
    versions = {package: metadata.version(package) for name, package in _PACKAGES.items() if name in options.methods}
    seconds = {
        method: round(sum(row.scores[SECONDS] for row in rows if row.method == method), 3) for method in options.methods
    }
    done = {"options": asdict(options), "list_sha256": _hash(data), "baselines": versions}
    return complete_record(done, [], seconds, torch.device("cpu"))
