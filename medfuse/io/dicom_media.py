"""The files that a DICOMDIR names (PS3.10 section 8), as far as they lie below its own folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from medfuse.errors import InputError
from medfuse.io.checks import shown
from medfuse.io.dicom_headers import read_header, value_of

MOST_RECORDS = 200_000
_COMPONENT = re.compile(r"[^/\\\0]{1,64}")  # the standard allows 8 signs of A-Z, 0-9 and _; media in use have more


def referenced_files(path: Path) -> tuple[list[Path], int]:
    """Resolve the file references of a DICOMDIR.

    Args:
        path: the DICOMDIR.

    Returns:
        The files that exist, each once, in the order of the directory; and how many are missing.

    Raises:
        UnreadableFileError: if it is damaged.
        InputError: if a reference leads out of its folder, or there are too many.
    """
    header = read_header(path, ["DirectoryRecordSequence"])
    records = value_of(header, "DirectoryRecordSequence") or ()
    if len(records) > MOST_RECORDS:
        msg = f"{shown(path)} has {len(records)} records, more than {MOST_RECORDS}; give the folder of one study"
        raise InputError(msg)
    root = Path(os.path.realpath(path.parent))
    found: dict[Path, None] = {}
    missing = 0
    for record in records:
        reference = value_of(record, "ReferencedFileID")
        if reference is None:
            continue
        parts = [reference] if isinstance(reference, str) else [str(part) for part in reference]
        file = _resolved(root, parts, path)
        if file is None:
            missing += 1
        else:
            found[file] = None
    return list(found), missing


def _resolved(root: Path, parts: list[str], path: Path) -> Path | None:
    """Return the file of a reference, None if there is none."""
    if any(part in (".", "..") or not _COMPONENT.fullmatch(part) for part in parts):
        raise _outside(path, parts)
    file = _in_any_case(root, parts)
    if file is None:
        return None
    real = Path(os.path.realpath(file))
    if not real.is_relative_to(root):
        raise _outside(path, parts)
    return real if real.is_file() else None


def _in_any_case(root: Path, parts: list[str]) -> Path | None:
    """Follow a reference; media copied to a disk often have their names in small letters."""
    place = root
    for part in parts:
        for name in (part, part.lower(), part.upper()):
            if (place / name).exists():
                place = place / name
                break
        else:
            return None
    return place


def _outside(path: Path, parts: list[str]) -> InputError:
    named = shown("/".join(parts)[:80])
    return InputError(f"{shown(path)} names {named}, which leads out of its folder; give the folder of a series")
