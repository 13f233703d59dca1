"""DICOM files out of a zip that may be hostile: no name in it becomes a path, and its size is bounded."""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import shown

MOST_MEMBERS = 200_000
MOST_BYTES = 32 * 2**30
HIGHEST_RATIO = 200
HARMLESS_BYTES = 256 * 2**20  # below which no ratio is suspicious: an empty image packs well

_START_BYTES = 512
_BLOCK_BYTES = 2**20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True)
class Unpacked:
    """Each unpacked file with the name it had in the zip, and how many were left out, by reason."""

    files: tuple[tuple[Path, str], ...]
    skipped: dict[str, int]


def extract_zip(path: Path, workspace: Path, wanted: Callable[[bytes], bool]) -> Unpacked:
    """Unpack the members of a zip that are wanted, under names of our own.

    Args:
        path: the zip.
        workspace: an existing folder; a new one is made in it for the files.
        wanted: tells from the first 512 bytes of a member whether to unpack it.

    Returns:
        The files, in the order of their names in the zip.

    Raises:
        UnreadableFileError: if the zip is damaged or encrypted.
        InputError: if a member would lie outside (``..``, absolute, a link), or there is too much of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
            _check(members, path)
            folder = Path(tempfile.mkdtemp(prefix="zip-", dir=workspace))
            return _extract(archive, members, path, folder, wanted)
    except _DAMAGE as error:
        reason = shown(" ".join(str(getattr(error, "strerror", None) or error).split())[:120])
        msg = f"{shown(path)} cannot be unpacked ({reason}); copy it again, or unpack it and give the folder"
        raise UnreadableFileError(msg) from error


def _check(members: list[zipfile.ZipInfo], path: Path) -> None:
    """Refuse a zip by what its directory says, before anything is unpacked."""
    if len(members) > MOST_MEMBERS:
        msg = f"{shown(path)} holds {len(members)} files, more than {MOST_MEMBERS}; give the zip of one study"
        raise InputError(msg)
    for member in members:
        if _leads_outside(member):
            msg = f"{shown(path)} holds {shown(member.filename[:80])}, which leads out of it; unpack it with care"
            raise InputError(msg)
    _check_total(sum(member.file_size for member in members), path)


def _leads_outside(member: zipfile.ZipInfo) -> bool:
    if stat.S_ISLNK(member.external_attr >> 16):
        return True
    posix, windows = PurePosixPath(member.filename), PureWindowsPath(member.filename)
    return posix.is_absolute() or bool(windows.anchor) or ".." in posix.parts or ".." in windows.parts


def _check_total(total: int, path: Path) -> None:
    """Refuse more bytes than are sound, in all or for the size of the zip."""
    if total > MOST_BYTES or (total > HARMLESS_BYTES and total > HIGHEST_RATIO * path.stat().st_size):
        msg = f"{shown(path)} unpacks to more than {total - 1} bytes, which no study does; give the folder of a series"
        raise InputError(msg)


def _extract(
    archive: zipfile.ZipFile,
    members: list[zipfile.ZipInfo],
    path: Path,
    folder: Path,
    wanted: Callable[[bytes], bool],
) -> Unpacked:
    files: list[tuple[Path, str]] = []
    skipped: Counter[str] = Counter()
    total = 0
    for member in members:
        with archive.open(member) as packed:
            start = packed.read(_START_BYTES)
            total += len(start)
            if not wanted(start):
                skipped["is no DICOM file"] += 1
                continue
            target = folder / f"{len(files):06d}.dcm"
            with target.open("xb") as file:
                file.write(start)
                total = _copy(packed, file, total, path)
        files.append((target, member.filename))
    return Unpacked(tuple(files), dict(skipped))


def _copy(packed: IO[bytes], file: IO[bytes], total: int, path: Path) -> int:
    """Unpack block by block and count what really comes: a zip's directory can lie."""
    while block := packed.read(_BLOCK_BYTES):
        total += len(block)
        _check_total(total, path)
        file.write(block)
    return total
