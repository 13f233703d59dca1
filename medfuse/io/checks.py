"""What every volume must satisfy before anything is done with it, whatever file it came from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medfuse.errors import GeometryError, InputError, IntensityError, UnreadableFileError

FEWEST_VOXELS = 4
MOST_VOXELS = 2**31


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as one printable line, with control characters and broken bytes escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in os.fspath(path))


def check_is_file(path: Path) -> int:
    """Refuse what is not a readable, non-empty regular file.

    Returns:
        The size of the file in bytes.

    Raises:
        UnreadableFileError: if it is missing, a folder, not a regular file, unreadable or empty.
    """
    try:
        if path.is_dir():
            msg = f"{shown(path)} is a folder; give a file of a volume, such as .nii.gz or .nrrd"
            raise UnreadableFileError(msg)
        size = path.stat().st_size
        regular = path.is_file()
    except (OSError, ValueError) as error:
        raise _not_opened(path, error) from error
    if not regular:
        msg = f"{shown(path)} is not a regular file; give the path of a volume"
        raise UnreadableFileError(msg)
    if not os.access(path, os.R_OK):
        msg = f"{shown(path)}: no permission to read it; change its permissions"
        raise UnreadableFileError(msg)
    if size == 0:
        msg = f"{shown(path)} is empty (0 bytes); copy or download it again"
        raise UnreadableFileError(msg)
    return size


def _not_opened(path: Path, error: OSError | ValueError) -> UnreadableFileError:
    """Say why a path leads to nothing."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return UnreadableFileError(f"{shown(path)} does not exist; check the path")
    reason = getattr(error, "strerror", None) or str(error)
    return UnreadableFileError(f"{shown(path)} cannot be opened ({reason}); check the path")


def spatial_shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int]:
    """Reduce a declared shape to three dimensions, or refuse it.

    Trailing dimensions of one element are dropped: a 4-D file that holds one time point is a volume.

    Args:
        shape: number of elements along each axis, as the header declares it.
        name: what to call the volume in the message.

    Returns:
        The three numbers of voxels.

    Raises:
        InputError: if the volume is empty, has a fourth dimension, too few slices, or too many voxels.
    """
    declared = " x ".join(str(n) for n in shape) or "nothing"
    if not shape or min(shape) < 1:
        msg = f"{name}: the header declares {declared} voxels, which is empty; write the file again"
        raise InputError(msg)
    if any(n > 1 for n in shape[3:]):
        msg = f"{name} has {len(shape)} dimensions ({declared}); give one 3-D volume, such as one time point"
        raise InputError(msg)
    x, y, z = (*shape[:3], 1, 1)[:3]
    if min(x, y, z) < FEWEST_VOXELS:
        msg = f"{name} has {declared} voxels; a volume needs at least {FEWEST_VOXELS} slices along each axis"
        raise InputError(msg)
    if x * y * z > MOST_VOXELS:
        msg = f"{name}: the header declares {declared} voxels, more than {MOST_VOXELS}; crop or resample it"
        raise InputError(msg)
    return x, y, z


def to_float32(raw: npt.NDArray[np.generic], slope: float, intercept: float, name: str) -> npt.NDArray[np.float32]:
    """Turn stored values, shape (X, Y, Z), into real ones: ``slope * stored + intercept``.

    The arithmetic is done in float64, one slice at a time, and rounded once.

    Raises:
        IntensityError: if the real values are not finite or all equal.
    """
    values = np.empty(raw.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for z in range(raw.shape[2]):
            stored = raw[:, :, z].astype(np.float64)
            values[:, :, z] = stored if slope == 1.0 and intercept == 0.0 else stored * slope + intercept
    check_values(values, name)
    return values


def check_values(values: npt.NDArray[np.float32], name: str) -> None:
    """Refuse values that are not finite, or that carry no picture.

    Raises:
        IntensityError: if any value is NaN or infinite, or all are equal.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(values.size - np.count_nonzero(np.isfinite(values)))
        msg = f"{name}: {bad} of {values.size} values are NaN or infinite; replace them, for example by 0"
        raise IntensityError(msg)
    if low == high:
        msg = f"{name} is constant (every value is {low:g}); it carries no picture, give another file"
        raise IntensityError(msg)


def unusable_orientation(name: str) -> GeometryError:
    """Say in one line that a file's reader could not build an affine from the header."""
    return GeometryError(f"{name}: the header's spacing or axes are zero, singular or not finite; rewrite it")
