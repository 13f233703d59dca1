"""Evaluation: which files belong to a case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medfuse.evaluation.listed import check_named_once, read_list

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
    rows = read_list(path, _COLUMNS, "cases")
    check_named_once([row["case"] for row in rows], path)
    return [_case(row, path.parent) for row in rows]


def _case(row: dict[str, str], folder: Path) -> FusedCase:
    mask = folder / row["mask"] if row.get("mask") else None
    return FusedCase(row["case"], folder / row["first"], folder / row["second"], folder / row["fused"], mask)
