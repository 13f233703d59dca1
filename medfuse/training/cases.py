"""Training: where the pairs lie, in any of the layouts that a user may have."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown
from medfuse.io.modality import modality_of
from medfuse.io.slice_sets import SPLITS_NAME, SlicePaths, pair_by_name, read_split
from medfuse.io.volume_files import READABLE
from medfuse.training.slice_pairs import SlicePair, read_pairs
from medfuse.training.volume_slices import slices_of_volumes

PARTS = ("train", "validation")
_COLUMNS = ("case", "first", "second")
_PICTURES = (".png",)
_TRAILING_NUMBER = re.compile(r"[-_. ]*\d+$")


@dataclass(frozen=True)
class Source:
    """A pair of files, from which one or more pairs of slices are read.

    Attributes:
        case: the patient; all of a patient's slices serve the same part.
        part: ``"train"`` or ``"validation"``, or None if that is still to be drawn.
        files: the two files.
        read: reads the pairs of slices, given the smallest side that is allowed.
    """

    case: str
    part: str | None
    files: tuple[Path, Path]
    read: Callable[[int], list[SlicePair]]


def find_sources(data: Path) -> list[Source]:
    """Find the pairs that a user gives.

    Args:
        data: a folder with ``splits.json`` and the PNG slices it lists; a folder with a folder for each patient, each
            with two volumes; a CSV file with the columns case, first and second, and perhaps part; or a folder with
            two folders of PNG slices of equal names.

    Raises:
        InputError: if it is none of them, or what it lists cannot be paired.
    """
    if data.suffix.lower() == ".csv":
        return _listed(data)
    if (data / SPLITS_NAME).is_file():
        return [_slice_source(paths, paths.case, part) for part in PARTS for paths in read_split(data, part)]
    folders = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    if any(_volumes(folder) for folder in folders):
        return [_patient(folder) for folder in folders]
    if len(folders) == 2:
        return _two_folders(*folders)
    msg = (
        f"{shown(data)} holds no pairs: give a folder with {SPLITS_NAME}, a folder with a folder of two volumes for "
        "each patient, a folder with two folders of PNG slices, or a CSV file with the columns case, first and second"
    )
    raise InputError(msg)


def _slice_source(paths: SlicePaths, case: str, part: str | None) -> Source:
    return Source(case, part, (paths.first, paths.second), partial(read_pairs, [paths]))


def _volume_source(case: str, part: str | None, first: Path, second: Path) -> Source:
    return Source(case, part, (first, second), partial(slices_of_volumes, first, second, case))


def _patient(folder: Path) -> Source:
    volumes = _volumes(folder)
    if len(volumes) != 2:
        msg = (
            f"{shown(folder)} holds {len(volumes)} volumes; leave the two of the pair in it, or list them in a CSV file"
        )
        raise InputError(msg)
    return _volume_source(folder.name, None, *volumes)


def _volumes(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(READABLE))


def _listed(path: Path) -> list[Source]:
    check_is_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        rows = []
    if not rows or any(not row.get(column) for row in rows for column in _COLUMNS):
        msg = f"{shown(path)}: each row needs {', '.join(_COLUMNS)}, and the first row these names; correct it"
        raise UnreadableFileError(msg)
    return [_row(row, path) for row in rows]


def _row(row: dict[str, str], path: Path) -> Source:
    part = row.get("part") or None
    if part not in (None, *PARTS):
        msg = f"{shown(path)}: part is {part!r}; write {' or '.join(PARTS)}, or leave it empty"
        raise InputError(msg)
    first, second = (path.parent / row[column] for column in ("first", "second"))
    if first.name.lower().endswith(_PICTURES):
        collection = f"{second.parent.name}-{first.parent.name}"
        return _slice_source(SlicePaths(collection, row["case"], first, second), row["case"], part)
    return _volume_source(row["case"], part, first, second)


def _two_folders(*folders: Path) -> list[Source]:
    """Pair the slices of two folders; the one named as MR comes first."""
    first, second = sorted(folders, key=lambda folder: modality_of(folder.name) != "MR")
    pairs, _ = pair_by_name(first, second, _PICTURES)
    collection = f"{second.name}-{first.name}"
    sources = []
    for pair in pairs:
        case = _TRAILING_NUMBER.sub("", pair.first.stem)
        sources.append(_slice_source(SlicePaths(collection, case, pair.first, pair.second), case, None))
    return sources
