"""Evaluation: which files belong to a case."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import check_is_file, shown

_COLUMNS = ("case", "first", "second", "fused")


@dataclass(frozen=True)
class FusedCase:
    """The files of one case: PNG pictures of one size, or volumes on one grid.

    Attributes:
        case: its name, such as that of the patient or scan.
        first: the first source.
        second: the second source.
        fused: what was fused from them.
        mask: where pixels count in the sound suite (not 0), or None for the foreground.
    """

    case: str
    first: Path
    second: Path
    fused: Path
    mask: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files: first, second, fused and, where there is one, the mask."""
        return [path for path in (self.first, self.second, self.fused, self.mask) if path is not None]


def read_cases(path: Path) -> list[FusedCase]:
    """Read a list of cases.

    Args:
        path: a CSV file with the columns ``case``, ``first``, ``second``, ``fused`` and, if wanted, ``mask``; paths
            are relative to its folder.

    Raises:
        UnreadableFileError: if it is missing, lacks a column or a value, lists nothing, or names a case twice.
    """
    check_is_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        msg = f"{shown(path)} cannot be read as CSV ({error}); save it as comma-separated UTF-8 text"
        raise UnreadableFileError(msg) from error
    if not rows or not all(row.get(name) for row in rows for name in _COLUMNS):
        msg = f"{shown(path)}: lists no cases, or leaves a value out; give each row {', '.join(_COLUMNS)} in columns"
        raise UnreadableFileError(msg)
    names = [row["case"] for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        msg = f"{shown(path)}: case {twice!r} is listed twice; give each row a name of its own"
        raise UnreadableFileError(msg)
    return [_case(row, path.parent) for row in rows]


def _case(row: dict[str, str], folder: Path) -> FusedCase:
    mask = folder / row["mask"] if row.get("mask") else None
    return FusedCase(row["case"], folder / row["first"], folder / row["second"], folder / row["fused"], mask)
