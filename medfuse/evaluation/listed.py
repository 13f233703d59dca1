"""Evaluation: CSV files that list cases, read without trust."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import check_is_file, shown


def read_list(path: Path, columns: Sequence[str], kind: str) -> list[dict[str, str]]:
    """Read a list.

    Args:
        path: a CSV file in UTF-8.
        columns: those in which every row must have a value.
        kind: what is listed, in the plural, for messages.

    Raises:
        UnreadableFileError: if it is missing, lacks a column or a value, or lists nothing.
    """
    check_is_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        msg = f"{shown(path)} cannot be read as CSV ({error}); save it as comma-separated UTF-8 text"
        raise UnreadableFileError(msg) from error
    if not rows or not all(row.get(name) for row in rows for name in columns):
        msg = f"{shown(path)}: lists no {kind}, or leaves a value out; give each row {', '.join(columns)} in columns"
        raise UnreadableFileError(msg)
    return rows


def check_named_once(names: Sequence[str], path: Path) -> None:
    """Refuse a list in which two cases have one name.

    Raises:
        UnreadableFileError: naming the first such case.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"{shown(path)}: case {twice!r} is listed twice; give each row a name of its own"
        raise UnreadableFileError(msg)
