"""Outputs that appear whole or not at all.

Everything is written into a hidden sibling of the destination, on the same file system, and renamed into
place when it is complete and on the disk. An error, a full disk or Ctrl-C leaves the destination as it was.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medfuse.errors import OutputError
from medfuse.io.checks import shown

MARKERS = ("run.json", "truth.json")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    markers: tuple[str, ...] = MARKERS,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Path:
    """Refuse, before any work is done, a folder that could not be written at the end.

    Args:
        path: the folder to write.
        overwrite: allow it to replace an earlier result.
        markers: names of files of which a folder must hold one to count as an earlier result.
        inputs: files that are still needed, and so must not lie inside a folder that is replaced.

    Returns:
        The absolute path of the destination.

    Raises:
        OutputError: if the destination exists (without ``overwrite``), is not an earlier result (with it), or
            its parent cannot be written.
    """
    target = _absolute(path)
    _check_parent(target)
    if os.path.lexists(target):
        _check_folder_replaceable(target, overwrite, markers)
        for source in inputs:
            if Path(os.path.realpath(source)).is_relative_to(target):
                msg = f"{shown(source)} is inside {shown(target)}, which is to be replaced; choose another"
                raise OutputError(msg)
    return target


def check_output_file(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Do for a single file what ``check_output`` does for a folder.

    Raises:
        OutputError: if the file exists (without ``overwrite``), is no regular file, or its parent cannot be
            written.
    """
    target = _absolute(path)
    _check_parent(target)
    if os.path.lexists(target):
        if target.is_symlink() or not target.is_file():
            msg = f"{shown(target)} exists and is not a regular file; choose another name"
            raise OutputError(msg)
        if not overwrite:
            raise _exists(target)
    return target


@contextmanager
def whole_folder(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    markers: tuple[str, ...] = MARKERS,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[Path]:
    """Give a folder to write into, which becomes ``path`` if the block ends well and vanishes if it does not.

    Args:
        path: the folder to create; missing parents are created.
        overwrite: replace an earlier result, which is deleted only once the new one stands in its place.
        markers: see ``check_output``.
        inputs: see ``check_output``.

    Yields:
        An empty folder beside ``path``.

    Raises:
        OutputError: if the destination is refused, or writing fails (no space, no permission).
    """
    inputs = tuple(inputs)
    target = check_output(path, overwrite, markers=markers, inputs=inputs)
    temporary = target.parent / _hidden_name("partial")
    made: list[Path] = []
    try:
        _make_parents(target.parent, made)
        temporary.mkdir()
        yield temporary
        _sync_tree(temporary)
        check_output(target, overwrite, markers=markers, inputs=inputs)
        _put_in_place(temporary, target)
    except BaseException as error:
        _clean_up(temporary, made)
        _raise_as_output_error(error, target, temporary)
        raise


@contextmanager
def whole_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Give a path to write to, which becomes ``path`` if the block ends well and vanishes if it does not.

    Args:
        path: the file to create; missing parents are created.
        overwrite: replace the file if it exists.

    Yields:
        A free path beside ``path``, with the same extensions.

    Raises:
        OutputError: if the destination is refused, or writing fails (no space, no permission).
    """
    target = check_output_file(path, overwrite)
    temporary = target.parent / (_hidden_name("partial") + _extensions(target))
    made: list[Path] = []
    try:
        _make_parents(target.parent, made)
        yield temporary
        _sync_file(temporary)
        check_output_file(target, overwrite)
        temporary.replace(target)
        _sync_directory(target.parent)
    except BaseException as error:
        _clean_up(temporary, made)
        _raise_as_output_error(error, target, temporary)
        raise


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Resolve the parent, and leave the last part as it is so that a symbolic link is seen as one."""
    given = Path(path)
    try:
        if given.name in ("", ".."):
            return Path(os.path.realpath(given))
        return Path(os.path.realpath(given.parent)) / given.name
    except (OSError, ValueError) as error:
        msg = f"{shown(given)} is not a usable path ({error}); choose another output"
        raise OutputError(msg) from error


def _check_parent(target: Path) -> None:
    """Refuse a destination whose nearest existing ancestor is no folder that can be written."""
    ancestor = target.parent
    try:
        while not os.path.lexists(ancestor):
            ancestor = ancestor.parent
        target.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        if not isinstance(error, NotADirectoryError):
            reason = getattr(error, "strerror", None) or error
            msg = f"{shown(target)} cannot be written ({reason}); choose another output"
            raise OutputError(msg) from error
    if not ancestor.is_dir():
        msg = f"{shown(target)} cannot be written: {shown(ancestor)} is not a folder; choose another output"
        raise OutputError(msg)
    if not os.access(ancestor, os.W_OK | os.X_OK):
        msg = f"{shown(target)} cannot be written: no permission in {shown(ancestor)}; choose another output"
        raise OutputError(msg)


def _check_folder_replaceable(target: Path, overwrite: bool, markers: tuple[str, ...]) -> None:
    """Refuse to replace anything but an empty folder or an earlier result, and only if asked to."""
    if target.is_symlink() or not target.is_dir():
        msg = f"{shown(target)} exists and is not a folder; choose another output"
        raise OutputError(msg)
    if not overwrite:
        raise _exists(target)
    if Path.cwd().is_relative_to(target) or Path(os.path.realpath(Path.home())).is_relative_to(target):
        msg = f"{shown(target)} holds the home or working folder and is never replaced; choose another output"
        raise OutputError(msg)
    try:
        names = os.listdir(target)
    except OSError as error:
        msg = f"{shown(target)} cannot be looked into ({error.strerror}); choose another output"
        raise OutputError(msg) from error
    if names and not any((target / marker).is_file() for marker in markers):
        wanted = " or ".join(markers)
        msg = f"{shown(target)} is not an earlier result (no {wanted} in it); choose another output"
        raise OutputError(msg)


def _exists(target: Path) -> OutputError:
    return OutputError(f"{shown(target)} exists; choose another output, or allow it to be overwritten (--overwrite)")


def _hidden_name(ending: str) -> str:
    return f".medfuse-{secrets.token_hex(6)}.{ending}"


def _extensions(path: Path) -> str:
    """Return the extensions that writers look at, in small letters: ``.nii.gz`` is one piece."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Create missing parents, noting each so that a failure can take them back."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        made.append(parent)


def _put_in_place(new: Path, target: Path) -> None:
    """Rename the finished folder to its name; an older one steps aside first and is deleted last."""
    aside = target.parent / _hidden_name("replaced")
    try:
        if os.path.lexists(target):
            target.rename(aside)
        new.rename(target)
    except BaseException:
        if os.path.lexists(new) and os.path.lexists(aside) and not os.path.lexists(target):
            aside.rename(target)
        raise
    _sync_directory(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _clean_up(temporary: Path, made: list[Path]) -> None:
    """Remove what was begun, and the parents made for it if they are still empty."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    for parent in reversed(made):
        with suppress(OSError):
            parent.rmdir()


def _raise_as_output_error(error: BaseException, target: Path, temporary: Path) -> None:
    """Raise an ``OutputError`` in place of a failure to write; let every other error pass."""
    if not isinstance(error, OSError):
        return
    if error.errno in _DISK_FULL:
        reason = (error.strerror or "disk full").lower()
        msg = f"{shown(target)} was not written: {reason}; free some space or choose another disk"
        raise OutputError(msg) from error
    if any(_is_own(name, target, temporary) for name in (error.filename, error.filename2)):
        reason = error.strerror or str(error)
        msg = f"{shown(target)} was not written ({reason}); check permissions or choose another output"
        raise OutputError(msg) from error


def _is_own(name: object, target: Path, temporary: Path) -> bool:
    """Tell whether a failure concerns the destination, and not a file that the block was reading."""
    if not isinstance(name, (str, os.PathLike)):
        return False
    path = Path(name)
    return path in (target, *target.parents) or path.is_relative_to(temporary)


def _sync_tree(folder: Path) -> None:
    """Force every file below a folder to the disk, so that a full disk shows itself before the rename."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync_file(Path(root) / name)
        _sync_directory(Path(root))


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a directory, and need not
        _sync_file(path)
