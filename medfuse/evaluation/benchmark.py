"""Evaluation: every fusion method on the same pairs, by both suites of measures."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from medfuse.evaluation.contestants import Fuse, contestants
from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.options import BenchmarkOptions
from medfuse.evaluation.oracle import per_image_optimum
from medfuse.evaluation.pairs import ImagePair, read_image_pairs
from medfuse.evaluation.plot import write_plot
from medfuse.evaluation.rows import Row, write_csv
from medfuse.evaluation.scoring import mapper, score_method
from medfuse.evaluation.summary import Means, interval_notes, summarize
from medfuse.evaluation.tables import markdown
from medfuse.evaluation.targets import targets
from medfuse.inferers.device import resolve_device
from medfuse.io.output_folder import whole_folder
from medfuse.io.slice_sets import spread
from medfuse.progress import Progress, Silent, showing
from medfuse.report.record import complete_record, file_hash, write_record

_ORACLE = "oracle"

_log = logging.getLogger(__name__)


def benchmark_fusion(
    data: Path, output: Path, options: BenchmarkOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Compare fusion methods, networks beside trivial rules, on pairs of slices.

    Writes ``benchmark.csv`` (a row for each pair and method), ``benchmark.json`` (what is returned), ``benchmark.md``
    (the tables), ``benchmark.png`` and ``run.json``.

    Args:
        data: folder with ``splits.json`` and its PNG slices, or the first of two folders; see ``read_image_pairs``.
        output: the folder to write.
        options: what to compare; the default is all methods on all validation pairs.
        progress: told which method is at work.

    Returns:
        ``means`` with intervals, ``targets`` (see ``targets.targets``) and, with an oracle, the same on its pairs with
        the ``shares`` of it that the methods reach; ``cases`` in each collection, ``suites`` and ``notes``.

    Raises:
        MedfuseError: one of its kinds, in one line, for any data, weights, option or output that cannot be used.
    """
    options = options or BenchmarkOptions()
    device = resolve_device(options.device)
    rivals = contestants(options.methods, options.weights, device)
    pairs = read_image_pairs(data, options.second, options.part, options.number)
    with whole_folder(output, options.overwrite, inputs=[data]) as folder:
        rows, seconds = _score_all(rivals, pairs, options, device, progress or Silent())
        result = gather(rows, options.suites)
        for note in result["notes"]:
            _log.warning(note)
        _write(rows, result, folder)
        write_record(_record(options, result["notes"], seconds, device), folder)
    return result


def gather(rows: Sequence[Row], suites: tuple[str, ...]) -> dict[str, Any]:
    """Make of all rows what ``benchmark.json`` holds."""
    plain = [row for row in rows if row.method != _ORACLE]
    means = summarize(plain)
    return {
        "suites": list(suites),
        "notes": interval_notes(plain),
        "cases": {collection: len({row.case for row in plain if row.collection == collection}) for collection in means},
        "means": means,
        "targets": {collection: targets(collection, methods) for collection, methods in means.items()},
        _ORACLE: _beside_oracle(rows),
    }


def _score_all(
    rivals: Mapping[str, Fuse],
    pairs: Sequence[ImagePair],
    options: BenchmarkOptions,
    device: torch.device,
    progress: Progress,
) -> tuple[list[Row], dict[str, float]]:
    """Return the rows of all methods and how long each took, fusing and scoring."""
    few = spread(pairs, options.oracle * len({pair.collection for pair in pairs}))
    work = {name: (fuse, pairs) for name, fuse in rivals.items()}
    if options.oracle:
        work[_ORACLE] = (per_image_optimum, few)
    rows, seconds = [], {}
    with mapper(options.jobs) as mapping:
        for name, (fuse, chosen) in work.items():
            started = time.monotonic()
            with showing(progress, name) as listener:
                rows += score_method(name, fuse, chosen, options.suites, device, listener, mapping)
            seconds[name] = round(time.monotonic() - started, 3)
    return rows, seconds


def _beside_oracle(rows: Sequence[Row]) -> dict[str, Any]:
    """Compare all methods with the oracle, on the pairs that it has seen."""
    seen = {(row.collection, row.case, row.name) for row in rows if row.method == _ORACLE}
    means = summarize([row for row in rows if (row.collection, row.case, row.name) in seen])
    return {
        collection: {
            "means": methods,
            "targets": targets(collection, methods),
            "shares": {name: _shares(method, methods[_ORACLE]) for name, method in methods.items()},
        }
        for collection, methods in means.items()
    }


def _shares(method: Mapping[str, Any], oracle: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean of each measure as a share of the oracle's, where both are defined."""
    return {
        name: method[name]["mean"] / mean["mean"]
        for name, mean in oracle.items()
        if mean["mean"] > 0.0 and method[name]["slices"] > 0
    }


def _write(rows: Sequence[Row], result: Mapping[str, Any], folder: Path) -> None:
    means: Means = result["means"]
    write_csv(rows, folder / "benchmark.csv", ("method", "collection", "case", "name"))
    write_json(result, folder / "benchmark.json")
    (folder / "benchmark.md").write_text(markdown(result), encoding="utf-8")
    write_plot(means, folder / "benchmark.png")


def _record(
    options: BenchmarkOptions, notes: Sequence[str], seconds: Mapping[str, float], device: torch.device
) -> dict[str, Any]:
    """Say what was compared; folders are not named."""
    weights = [Path(entry.rpartition("=")[2]) for entry in options.weights]
    done = {
        "options": {**asdict(options), "second": None, "weights": [path.name for path in weights]},
        "weights_sha256": [file_hash(path) for path in weights],
    }
    return complete_record(done, notes, seconds, device)
