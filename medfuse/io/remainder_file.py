"""The file beside a fused image that holds what the image lacks of its sources: whole numbers, packed small."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medfuse.errors import UnreadableFileError
from medfuse.io.output_folder import whole_file

_READING_ERRORS = (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error)
_NAMES = ("rest", "beyond", "step", "size", "weights")
_LARGEST_SIDE = 2**16


@dataclass(frozen=True)
class Remainder:
    """What a fused image lacks of its two sources, in whole steps.

    Attributes:
        rest: (N, 4, H/2, W/2) int32, the remainder of the network; H and W are even.
        beyond: (N, 1, H, W) int32, what the network drew less what the fused image holds: values beyond 0 and 1, lost
            decimals, and the padding to even sides.
        step: the size of a step.
        size: height and width of the fused image.
        weights: hash of the weights of the network.
    """

    rest: NDArray[np.int32]
    beyond: NDArray[np.int32]
    step: float
    size: tuple[int, int]
    weights: str


def write_remainder(remainder: Remainder, path: Path, overwrite: bool = False) -> None:
    """Write a remainder as a compressed ``.npz`` file, whole or not at all.

    The bytes of equal significance lie together, since those of higher significance are nearly all alike.

    Raises:
        OutputError: if the file is there and shall not be replaced, or cannot be written.
    """
    with whole_file(path, overwrite=overwrite) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(
            file,
            rest=_planes(remainder.rest),
            beyond=_planes(remainder.beyond),
            step=np.float64(remainder.step),
            size=np.asarray(remainder.size),
            weights=np.asarray(remainder.weights),
        )


def read_remainder(path: Path) -> Remainder:
    """Read what ``write_remainder`` wrote; nothing in the file is run as code.

    Raises:
        UnreadableFileError: if the file is missing, damaged or of another kind.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            rest, beyond, step, size, weights = (file[name] for name in _NAMES)
        height, width = (int(side) for side in size)
        found = Remainder(_from_planes(rest), _from_planes(beyond), float(step), (height, width), str(weights))
    except _READING_ERRORS:
        found = None
    if found is None or not _fits(found):
        msg = f"{path.name}: not a remainder that was written beside a fused image; check the path"
        raise UnreadableFileError(msg)
    return found


def _fits(found: Remainder) -> bool:
    """Tell whether the arrays are of one image."""
    (height, width), count = found.size, found.rest.shape[0]
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE and 0.0 < found.step < 1.0):
        return False
    even = (height + height % 2, width + width % 2)
    return found.rest.shape == (count, 4, even[0] // 2, even[1] // 2) and found.beyond.shape == (count, 1, *even)


def _planes(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return whole numbers (...) as bytes (4, ...): signs first folded in, so that small numbers have small bytes."""
    folded = np.where(values < 0, -2 * values.astype(np.int64) - 1, 2 * values.astype(np.int64)).astype("<u4")
    return np.ascontiguousarray(np.moveaxis(folded[..., None].view(np.uint8), -1, 0))


def _from_planes(planes: NDArray[np.uint8]) -> NDArray[np.int32]:
    if planes.dtype != np.uint8 or planes.ndim != 5 or planes.shape[0] != 4:
        raise ValueError
    folded = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<u4")[..., 0].astype(np.int64)
    return np.where(folded % 2 == 1, -(folded + 1) // 2, folded // 2).astype(np.int32)
