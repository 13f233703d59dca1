"""Folders of paired slices: with a list of parts, ``splits.json``, or two folders of pictures with equal names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown

SPLITS_NAME = "splits.json"


class Collected(Protocol):
    """Anything that belongs to a collection of pairs."""

    @property
    def collection(self) -> str:
        """Name of the collection."""


Item = TypeVar("Item", bound=Collected)


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
    path = folder / SPLITS_NAME
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


def pair_by_name(first: Path, second: Path, extensions: tuple[str, ...]) -> tuple[list[SlicePaths], list[str]]:
    """Pair the files of two folders that have equal names.

    Args:
        first: folder of the first modality, MR.
        second: folder of the other modality.
        extensions: what the names may end in, such as ``(".png",)``; other files do not count.

    Returns:
        The pairs in the order of their names, each a case of its own, and the names that only one folder has.

    Raises:
        InputError: if either is no folder, or no names are equal.
    """
    names = [_names(folder, extensions) for folder in (first, second)]
    common, alone = sorted(names[0] & names[1]), sorted(names[0] ^ names[1])
    if not common:
        allowed = ", ".join(extensions)
        msg = f"{shown(first)} and {shown(second)} have no {allowed} of equal names; name the two of a pair alike"
        raise InputError(msg)
    return [SlicePaths(second.name, name, first / name, second / name) for name in common], alone


def spread(pairs: Sequence[Item], number: int) -> list[Item]:
    """Return about a number of pairs, evenly spread over each collection and shared between all; 0 for all."""
    if number == 0:
        return list(pairs)
    ordered = sorted(pairs, key=_collection)
    collections = [list(members) for _, members in groupby(ordered, key=_collection)]
    each = max(1, number // len(collections))
    return [pair for members in collections for pair in _evenly(members, min(each, len(members)))]


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


def _names(folder: Path, extensions: tuple[str, ...]) -> set[str]:
    if not folder.is_dir():
        msg = f"{shown(folder)} is not a folder; give a folder of {', '.join(extensions)} files"
        raise InputError(msg)
    return {path.name for path in folder.iterdir() if path.name.lower().endswith(extensions)}


def _collection(pair: Collected) -> str:
    return pair.collection


def _evenly(members: list[Item], number: int) -> list[Item]:
    return [members[int((index + 0.5) * len(members) / number)] for index in range(number)]
