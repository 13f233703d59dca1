"""Evaluation: one row for each fused image, and the table of them as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """The scores of one fused image.

    Attributes:
        method: what fused it.
        collection: the set of pairs that it belongs to, such as ``"CT-MRI"``.
        case: the patient or scan.
        name: of the slice.
        scores: by ``"SUITE.MEASURE"``; NaN where a measure is not defined.
    """

    method: str
    collection: str
    case: str
    name: str
    scores: dict[str, float]


def measures_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of all measures, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row.scores))


def write_csv(rows: Sequence[Row], path: Path, columns: tuple[str, ...]) -> None:
    """Write a line for each row: first what it is about, then its measures; what is not defined is left empty.

    Args:
        rows: the lines.
        path: the file to write.
        columns: names of the attributes of a row that come first.
    """
    measures = measures_of(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, *measures])
        for row in rows:
            scores = [_cell(row.scores.get(measure)) for measure in measures]
            writer.writerow([*(getattr(row, column) for column in columns), *scores])


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else repr(value)
