"""Step 1 of 8, read: one transform or several in a row, each from a file of any kind that is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medfuse.geometry import Matrix
from medfuse.io.checks import check_is_file, shown
from medfuse.io.dicom_files import looks_like_dicom, start_of
from medfuse.io.dicom_registration_read import read_registration
from medfuse.io.dicom_registration_sides import Place, fixed_to_moving_ras
from medfuse.io.transform_files import TRANSFORM_FILES, check_transform, read_transform

_UNKNOWN = Place()


@dataclass(frozen=True, eq=False)
class GivenTransform:
    """A transform that files give.

    Attributes:
        fixed_to_moving_ras: (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.
        notes: what the user should know.
    """

    fixed_to_moving_ras: Matrix
    notes: tuple[str, ...] = ()


def read_transforms(
    paths: Sequence[str | os.PathLike[str]], fixed: Place = _UNKNOWN, moving: Place = _UNKNOWN
) -> GivenTransform:
    """Read transforms and apply them one after the other.

    Args:
        paths: ``.tfm``, ``.txt``, or DICOM Spatial Registration objects. The first takes points of the fixed volume on,
            the next takes them from there, the last one takes them to the moving volume.
        fixed: how a DICOM object may name the fixed volume.
        moving: the same for the moving volume.

    Raises:
        UnreadableFileError: if a file is missing, too large, damaged, or of another kind.
        InputError: if it deforms, cannot be inverted, or was made for other volumes.
    """
    composed, notes = np.eye(4), list[str]()
    for number, given in enumerate(paths):
        first, last = number == 0, number == len(paths) - 1
        step = _read(Path(given), fixed if first else _UNKNOWN, moving if last else _UNKNOWN)
        composed = step.fixed_to_moving_ras @ composed
        notes += step.notes
    if len(paths) > 1:
        composed = check_transform(composed, "what the transforms make together")
    return GivenTransform(composed, tuple(notes))


def _read(path: Path, fixed: Place, moving: Place) -> GivenTransform:
    check_is_file(path)
    if path.suffix in TRANSFORM_FILES or not looks_like_dicom(start_of(path)):
        return GivenTransform(read_transform(path))
    registration = read_registration(path)
    notes = []
    if registration.order_matters:
        notes.append(f"{shown(path.name)} has several matrices; the first item's was applied first (PS3.3, C.20.2.1.1)")
    return GivenTransform(fixed_to_moving_ras(registration, fixed, moving), tuple(notes))
