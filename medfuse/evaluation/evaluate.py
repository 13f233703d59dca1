"""Evaluation: fused images that are there already, whoever fused them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medfuse.evaluation.case_images import CaseImages, Range, read_images
from medfuse.evaluation.cases import FusedCase
from medfuse.evaluation.json_file import write_json
from medfuse.evaluation.plot import write_plot
from medfuse.evaluation.protocol import score
from medfuse.evaluation.rows import Row, measures_of, write_csv
from medfuse.evaluation.summary import Mean, interval_notes, summarize_method
from medfuse.io.output_folder import whole_folder
from medfuse.progress import Progress, Silent, counted, showing
from medfuse.report.record import complete_record, file_hash, write_record

_log = logging.getLogger(__name__)

_METHOD, _COLLECTION = "fused", "the list"
_WHOLE = "volume"
_MOST_SHOWN = 40
_FEWEST_SLICES = 7
_ROLES = ("first", "second", "fused", "mask")


def evaluate_cases(
    cases: Sequence[FusedCase],
    output: Path,
    value_range: Range | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score fused images by both suites.

    Writes ``metrics.csv`` (a row for each picture, or for each slice of a volume and the whole of it),
    ``metrics.json`` (what is returned), ``metrics.png`` and ``run.json``. Of a whole volume the sound measures look
    along all three axes where they are defined so; the published ones are means over its slices.

    Args:
        cases: the files.
        output: the folder to write.
        value_range: the values of volumes that become 0 and 1; see ``case_images.read_images``.
        overwrite: replace an earlier result.
        progress: told how many cases are done.

    Returns:
        ``means`` over cases with intervals, the ``cases`` by themselves, and ``notes``.

    Raises:
        MedfuseError: one of its kinds, in one line, for any file or output that cannot be used.
    """
    files = [path for case in cases for path in case.files]
    with whole_folder(output, overwrite, inputs=files) as folder:
        rows, wholes = _score_all(cases, value_range, progress or Silent())
        means, notes = summarize_method(wholes), interval_notes(wholes) if len(wholes) > 1 else []
        for note in notes:
            _log.warning(note)
        result = {"means": means, "cases": {row.case: row.scores for row in wholes}, "notes": notes}
        write_csv(rows, folder / "metrics.csv", ("case", "name"))
        write_json(result, folder / "metrics.json")
        write_plot({_COLLECTION: _shown(wholes, means)}, folder / "metrics.png")
        write_record(_record(cases, value_range, notes), folder)
    return result


def _score_all(
    cases: Sequence[FusedCase], value_range: Range | None, progress: Progress
) -> tuple[list[Row], list[Row]]:
    """Return all rows, and those of whole cases."""
    rows: list[Row] = []
    wholes: list[Row] = []
    with showing(progress, "evaluate") as listener:
        for case in counted(cases, listener):
            slices, whole = score_case(case, read_images(case, value_range))
            rows += [*slices, whole]
            wholes.append(whole)
    return rows, wholes


def score_case(case: FusedCase, images: CaseImages) -> tuple[list[Row], Row]:
    """Return the rows of the slices of a volume, none for a picture, and that of the whole.

    What looks along all three axes needs seven slices; of a thinner volume every measure is the mean over its slices.
    """
    if not images.is_volume:
        return [], _row(case, case.fused.stem, _scores(images))
    slices = [_row(case, f"slice {index}", _scores(images.slice_at(index))) for index in images.slices_with_picture()]
    whole = {name: _mean([row.scores[name] for row in slices]) for name in measures_of(slices)}
    if images.first.shape[-1] >= _FEWEST_SLICES:
        whole |= _scores(images, ("sound",))
    return slices, _row(case, _WHOLE, whole)


def _scores(images: CaseImages, suites: tuple[str, ...] = ("published", "sound")) -> dict[str, float]:
    with torch.inference_mode():
        found = score(images.first, images.second, images.fused, suites, images.mask)
    return {name: float(values) for name, values in found.items()}


def _row(case: FusedCase, name: str, scores: dict[str, float]) -> Row:
    return Row(_METHOD, _COLLECTION, case.case, name, scores)


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return sum(finite) / len(finite) if finite else float("nan")


def _shown(wholes: Sequence[Row], means: dict[str, Mean]) -> dict[str, dict[str, Mean]]:
    """Return what is drawn: each case by itself if there are not too many, and the mean."""
    single = {
        row.case: {name: Mean(mean=value, low=value, high=value, slices=1) for name, value in row.scores.items()}
        for row in wholes[:_MOST_SHOWN]
    }
    return {**(single if len(wholes) <= _MOST_SHOWN else {}), "mean": means}


def _record(cases: Sequence[FusedCase], value_range: Range | None, notes: Sequence[str]) -> dict[str, Any]:
    """Say what was scored; files appear by name and hash, never by folder."""
    inputs = {
        case.case: {
            role: {"file": path.name, "sha256": file_hash(path)} for role, path in zip(_ROLES, case.files, strict=False)
        }
        for case in cases
    }
    done = {"options": {"range": value_range}, "inputs": inputs}
    return complete_record(done, notes, {}, torch.device("cpu"))
