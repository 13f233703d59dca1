"""Step 1 of 8, read: find the DICOM files in a folder, a zip, a DICOMDIR or a file, and trust no name in them."""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown
from medfuse.io.dicom_media import referenced_files
from medfuse.io.dicom_zip import extract_zip
from medfuse.progress import Progress, Silent, showing

MOST_FILES = 500_000
START_BYTES = 512

_MARK_AT, _MARK = 128, b"DICM"
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_FIRST_GROUPS = (0x0002, 0x0008)
_VALUE_KINDS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_DIRECTORY = re.compile(re.escape(str(MediaStorageDirectoryStorage)).encode() + rb"(?![.0-9])")
_LONGEST_FIRST_VALUE = 2**16
_STEP = "find"
_FILES_PER_TICK = 500


@dataclass(frozen=True)
class Skipped:
    """What was passed over, counted.

    Attributes:
        name: of a file, or what kind of files.
        reason: why.
        count: how many.
    """

    name: str
    reason: str
    count: int = 1


@dataclass(frozen=True)
class Found:
    """The DICOM files of a place, in order of their names, and what else was there."""

    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...]


def find_dicom_files(path: Path, workspace: Path, progress: Progress | None = None) -> list[Path]:
    """List the DICOM files of a place; see ``search``, which also says what was passed over."""
    return list(search(path, workspace, progress).files)


def search(path: Path, workspace: Path, progress: Progress | None = None) -> Found:
    """Find the DICOM files of a place by their content, whatever their names.

    Args:
        path: a folder, searched with all below it (symbolic links that lead out of it are not followed); a zip; a
            DICOMDIR, whose files must lie below its own folder; or one file.
        workspace: an existing folder, into which a zip is unpacked.
        progress: told how many files were looked at.

    Returns:
        The files and what was skipped, equal kinds in one.

    Raises:
        UnreadableFileError: if there is no such place.
        InputError: if it holds no DICOM file, or more than is sound.
    """
    if path.is_dir():
        return _some(_of_folder(path, progress or Silent()), path)
    check_is_file(path)
    start = start_of(path)
    if start.startswith(_ZIP_STARTS) or zipfile.is_zipfile(path):
        unpacked = extract_zip(path, workspace, looks_like_dicom)
        found = _sorted_out([(file, shown(name)) for file, name in unpacked.files], Counter(unpacked.skipped))
        return _some(found, path)
    if not looks_like_dicom(start):
        msg = f"{shown(path)} is no DICOM file, zip or DICOMDIR; give the folder of a series"
        raise UnreadableFileError(msg)
    if is_directory_file(start):
        listed, missing = referenced_files(path)
        reasons = Counter({"is named in the DICOMDIR and missing": missing} if missing else {})
        return _some(_sorted_out([(file, shown(file.name)) for file in listed], reasons), path)
    return Found((path,), ())


def looks_like_dicom(start: bytes) -> bool:
    """Tell from the first bytes of a file whether it may be DICOM, with or without a preamble.

    Args:
        start: the first ``START_BYTES``, or all if there are fewer.
    """
    if start[_MARK_AT : _MARK_AT + 4] == _MARK:
        return True
    if len(start) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(f"{order}HHL", start)
        if group in _FIRST_GROUPS and element <= 0x3010:
            return start[4:6] in _VALUE_KINDS or length <= _LONGEST_FIRST_VALUE
    return False


def is_directory_file(start: bytes) -> bool:
    """Tell from the first bytes of a DICOM file whether it is a DICOMDIR."""
    return _DIRECTORY.search(start) is not None


def start_of(path: Path) -> bytes:
    """Return the first ``START_BYTES`` of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(START_BYTES)
    except OSError:
        return b""


def _of_folder(folder: Path, progress: Progress) -> Found:
    root = Path(os.path.realpath(folder))
    entries: list[tuple[Path, str]] = []
    reasons: Counter[str] = Counter()
    with showing(progress, _STEP):
        for path in _walk(root, reasons):
            entries.append((path, shown(path.name)))
            if len(entries) > MOST_FILES:
                msg = f"{shown(folder)} holds more than {MOST_FILES} files; give the folder of one study"
                raise InputError(msg)
            if len(entries) % _FILES_PER_TICK == 0:
                progress.advance(len(entries), len(entries))
    return _sorted_out(sorted(entries), reasons)


def _walk(root: Path, reasons: Counter[str]) -> Iterator[Path]:
    """Yield the regular files below a folder, counting what is left out."""
    for folder, folders, names in os.walk(root, followlinks=False):
        for name in [*folders, *names]:
            path = Path(folder) / name
            if path.is_symlink():
                if not Path(os.path.realpath(path)).is_relative_to(root):
                    reasons["is a symbolic link that leads elsewhere"] += 1
                    continue
                if path.is_dir():
                    continue  # its files are found where they are
            if name in folders:
                continue
            try:
                regular = stat.S_ISREG(path.stat().st_mode)
            except OSError:
                regular = False
            if regular:
                yield path
            else:
                reasons["is no regular file"] += 1


def _sorted_out(entries: list[tuple[Path, str]], reasons: Counter[str]) -> Found:
    """Keep what looks like DICOM; name what is skipped, or count it where there is much of it."""
    files, names = [], {}
    for path, name in entries:
        start = start_of(path)
        if not looks_like_dicom(start):
            reason = "is a zip within; give it itself" if start.startswith(_ZIP_STARTS) else "is no DICOM file"
        elif is_directory_file(start):
            reason = "is a DICOMDIR, not an image"
        else:
            files.append(path)
            continue
        reasons[reason] += 1
        names[reason] = name
    skipped = [
        Skipped(names[reason] if count == 1 and reason in names else f"{count} files", reason, count)
        for reason, count in sorted(reasons.items())
    ]
    return Found(tuple(files), tuple(skipped))


def _some(found: Found, path: Path) -> Found:
    if not found.files:
        others = "".join(f"; {skipped.name}: {skipped.reason}" for skipped in found.skipped[:1])
        msg = f"{shown(path)} holds no DICOM image{others}; give the folder of a series"
        raise InputError(msg)
    return found
