"""What is made of a study: one folder for each time it is fused, and a marker that appears when it is complete."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from medfuse.errors import OutputError
from medfuse.io.checks import shown
from medfuse.io.output_folder import whole_file


def cleared_folder(study: Path, generation: int) -> Path:
    """Return where the result of one fusion of a study goes, with nothing of an interrupted one left there.

    Raises:
        OutputError: if it cannot be written.
    """
    output = _folder(study, generation)
    try:
        _marker(output).unlink(missing_ok=True)
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(exist_ok=True)
    except OSError as error:
        msg = f"{shown(output)} cannot be written ({error.strerror}); free some space or check permissions"
        raise OutputError(msg) from error
    return output


def snapshot_folder(study: Path) -> Path:
    """Return where the instances are that are just being fused."""
    return study / "input"


def snapshot(study: Path, instances: list[Path]) -> Path:
    """Return a folder with the instances that are there now: more may come while they are being read.

    What an earlier, interrupted fusion left is removed.

    Raises:
        OutputError: if it cannot be written.
    """
    folder = snapshot_folder(study)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        for number, path in enumerate(instances, 1):
            _link(path, folder / f"{number:06d}.dcm")
    except OSError as error:
        msg = f"{shown(folder)} was not written ({error.strerror}); free some space or check permissions"
        raise OutputError(msg) from error
    return folder


def mark_done(output: Path, folder: Path) -> None:
    """Write, as the last thing, that a result is complete, and where in it the DICOM files are.

    Raises:
        OutputError: if it cannot be written.
    """
    with whole_file(_marker(output), overwrite=True) as temporary:
        temporary.write_text(os.path.relpath(folder, output), encoding="utf-8")


def is_done(study: Path, generation: int) -> bool:
    """Tell whether a result is complete."""
    return _marker(_folder(study, generation)).is_file()


def result_files(study: Path, generation: int) -> list[Path]:
    """Return the DICOM files of a complete result.

    Raises:
        OutputError: if there are none.
    """
    output = _folder(study, generation)
    files: list[Path] = []
    if is_done(study, generation):
        files = sorted((output / _marker(output).read_text(encoding="utf-8")).rglob("*.dcm"))
    if not files:
        msg = f"{shown(output)} has no DICOM files; have the study fused anew"
        raise OutputError(msg)
    return files


def _folder(study: Path, generation: int) -> Path:
    return study / "results" / str(generation)


def _marker(output: Path) -> Path:
    return output.with_name(f"{output.name}.done")


def _link(path: Path, link: Path) -> None:
    try:
        link.hardlink_to(path)
    except OSError:  # some file systems have no hard links
        shutil.copyfile(path, link)
