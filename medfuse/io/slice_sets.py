"""Folders of paired slices with a list, ``splits.json``, of which serve for training and which for validation."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import check_is_file, shown

_SPLITS = "splits.json"


@dataclass(frozen=True)
class SlicePaths:
    """Where the two co-registered slices of a pair lie.

    Attributes:
        collection: the set that the pair belongs to, such as ``"CT-MRI"``.
        case: the patient or scan.
        first: the slice of the first modality, MR.
        second: the slice of the other modality.
    """

    collection: str
    case: str
    first: Path
    second: Path


def read_split(folder: Path, part: str) -> list[SlicePaths]:
    """Read which pairs ``splits.json`` assigns to a part.

    Args:
        folder: holds ``splits.json``, an object whose parts list ``{"set", "case", "a", "b"}``, a and b being
            paths inside the folder.
        part: ``"train"`` or ``"validation"``.

    Raises:
        UnreadableFileError: if the list cannot be read, lists nothing, or leads out of the folder.
    """
    path = folder / _SPLITS
    check_is_file(path)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))[part]
        pairs = [_pair(folder, entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pairs = []
    if not pairs:
        msg = f'{shown(path)}: lists no {part!r} pairs as {{"set", "case", "a", "b"}} inside its folder; correct it'
        raise UnreadableFileError(msg)
    return pairs


def split_hash(pairs: list[SlicePaths], folder: Path) -> str:
    """Return the SHA-256 over the names, relative to a folder, and the bytes of all slices of a part."""
    digest = hashlib.sha256()
    for pair in pairs:
        for path in (pair.first, pair.second):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _pair(folder: Path, entry: dict[str, Any]) -> SlicePaths:
    return SlicePaths(str(entry["set"]), str(entry["case"]), _inside(folder, entry["a"]), _inside(folder, entry["b"]))


def _inside(folder: Path, name: str) -> Path:
    """Return a path inside a folder, or refuse with a ValueError one that leads out of it."""
    inside = os.path.normpath(name)
    if os.path.isabs(inside) or inside.startswith(os.pardir):
        raise ValueError(name)
    return folder / inside
