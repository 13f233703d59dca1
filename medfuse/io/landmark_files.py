"""Step 2 of 8, register: points that somebody found in both volumes, as a CSV file."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import Points
from medfuse.io.checks import check_is_file, shown

FEWEST = 3
_NAME = "name"
_FIXED = ("fixed_x", "fixed_y", "fixed_z")
_MOVING = ("moving_x", "moving_y", "moving_z")
_LARGEST_FILE = 2**20
_LARGEST_MM = 1e5


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The same points in two volumes.

    Attributes:
        fixed_mm: (N, 3) in the fixed volume, RAS mm.
        moving_mm: (N, 3) in the moving volume, RAS mm, in the same order.
        lines: for each the line of the file it stands on; its name may be about the patient.
    """

    fixed_mm: Points
    moving_mm: Points
    lines: tuple[int, ...]


def read_landmarks(path: str | os.PathLike[str]) -> Landmarks:
    """Read pairs of points.

    Args:
        path: a CSV file with the columns ``name``, ``fixed_x``, ``fixed_y``, ``fixed_z``, ``moving_x``, ``moving_y``
            and ``moving_z``, in any order, in RAS mm; other columns are passed over.

    Raises:
        UnreadableFileError: if it is missing, too large, or no text with these columns.
        InputError: if a coordinate is missing or no position, a name comes twice, or there are fewer than 3 points.
    """
    path = Path(path)
    name = shown(path)
    if check_is_file(path) > _LARGEST_FILE:
        msg = f"{name} is larger than {_LARGEST_FILE} bytes, too large for landmarks; give another file"
        raise UnreadableFileError(msg)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            reader.fieldnames = _columns(reader.fieldnames or (), name)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeError, csv.Error) as error:
        msg = f"{name} is not a readable CSV file; save it as comma-separated text in UTF-8"
        raise UnreadableFileError(msg) from error
    _check_names([(line, row[_NAME]) for line, row in rows], name)
    if len(rows) < FEWEST:
        msg = f"{name} holds {len(rows)} landmarks; give at least {FEWEST} that do not lie on one line"
        raise InputError(msg)
    fixed, moving = ([_point(row, columns, line, name) for line, row in rows] for columns in (_FIXED, _MOVING))
    return Landmarks(np.array(fixed), np.array(moving), tuple(line for line, _ in rows))


def _columns(found: object, name: str) -> list[str]:
    """Return the header in small letters, or say which column it lacks."""
    columns = [str(column).strip().lower() for column in found] if isinstance(found, list | tuple) else []
    missing = [column for column in (_NAME, *_FIXED, *_MOVING) if columns.count(column) != 1]
    if missing:
        msg = f"{name} has no single column {missing[0]}; its first line is name,{','.join((*_FIXED, *_MOVING))}"
        raise UnreadableFileError(msg)
    return columns


def _check_names(names: list[tuple[int, str]], name: str) -> None:
    seen: dict[str, int] = {}
    for line, given in names:
        key = (given or "").strip()
        if key in seen:
            msg = f"{name}: lines {seen[key]} and {line} have the same name; give each landmark one of its own"
            raise InputError(msg)
        seen[key] = line


def _point(row: dict[str, str], columns: tuple[str, ...], line: int, name: str) -> list[float]:
    point = []
    for column in columns:
        try:
            value = float(row[column])
        except (TypeError, ValueError):
            value = math.nan
        if not abs(value) <= _LARGEST_MM:
            msg = f"{name}, line {line}: {column} is not a position in mm; write a number with a decimal point"
            raise InputError(msg)
        point.append(value)
    return point
