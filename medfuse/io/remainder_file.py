"""The file beside fused images that holds what they lack of their sources: whole numbers, packed small."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medfuse.errors import UnreadableFileError
from medfuse.io.output_folder import whole_file

REMAINDER_NAME = "remainder.npz"  # beside a fused volume

_READING_ERRORS = (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
_NAMES = ("rest", "beyond", "correction", "black", "step", "fine_step", "size", "weights", "fused")
_LARGEST_SIDE = 2**16


@dataclass(frozen=True)
class Remainder:
    """What fused images lack of their two sources, in whole steps.

    Attributes:
        rest: (N, 4, H/2, W/2) int32, the remainder of the network in ``step``; H and W are even.
        beyond: (N, 1, H, W) int32 in ``step``, what the network drew less what the fused image holds: values beyond 0
            and 1, and the padding to even sides.
        correction: (N, 2, H, W) int32 in ``fine_step``, the sources less what the other two give; of the image's size.
        black: (N, 2, H, W) bool, where a source is exactly 0, so that nothing else need be true there.
        step: the size of a coarse step.
        fine_step: the size of a fine one.
        size: height and width of the fused image.
        weights: hash of the weights of the network.
        fused: hash of the fused image.
    """

    rest: NDArray[np.int32]
    beyond: NDArray[np.int32]
    correction: NDArray[np.int32]
    black: NDArray[np.bool_]
    step: float
    fine_step: float
    size: tuple[int, int]
    weights: str
    fused: str


def write_remainder(remainder: Remainder, path: Path, overwrite: bool = False) -> None:
    """Write a remainder as an ``.npz`` file packed by LZMA, whole or not at all.

    The same remainder gives the same bytes. Of ``rest`` each row is written less the one before it. The bytes of
    equal significance lie together, since those of higher significance are nearly all alike.

    Raises:
        OutputError: if the file is there and shall not be replaced, or cannot be written.
    """
    arrays = {
        "rest": byte_planes(np.diff(remainder.rest, axis=-2, prepend=np.int32(0))),  # beyond 32 bits it wraps, and back
        "beyond": byte_planes(remainder.beyond),
        "correction": byte_planes(remainder.correction),
        "black": np.packbits(remainder.black, axis=-1),
        "step": np.float64(remainder.step),
        "fine_step": np.float64(remainder.fine_step),
        "size": np.asarray(remainder.size),
        "weights": np.asarray(remainder.weights),
        "fused": np.asarray(remainder.fused),
    }
    with whole_file(path, overwrite=overwrite) as unfinished, unfinished.open("wb") as file:
        _write_arrays(file, arrays)


def read_remainder(path: Path) -> Remainder:
    """Read what ``write_remainder`` wrote; nothing in the file is run as code.

    Raises:
        UnreadableFileError: if the file is missing, damaged or of another kind.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = _unpacked({name: file[name] for name in _NAMES})
    except _READING_ERRORS:
        found = None
    if found is None or not _fits(found):
        msg = f"{path.name}: not a remainder that was written beside a fused image; check the path"
        raise UnreadableFileError(msg)
    return found


def _unpacked(arrays: Mapping[str, Any]) -> Remainder:
    height, width = (int(side) for side in arrays["size"])
    return Remainder(
        rest=np.cumsum(_from_byte_planes(arrays["rest"]), axis=-2, dtype=np.int32),
        beyond=_from_byte_planes(arrays["beyond"]),
        correction=_from_byte_planes(arrays["correction"]),
        black=np.unpackbits(arrays["black"], axis=-1, count=width).astype(np.bool_),
        step=float(arrays["step"]),
        fine_step=float(arrays["fine_step"]),
        size=(height, width),
        weights=str(arrays["weights"]),
        fused=str(arrays["fused"]),
    )


def _fits(found: Remainder) -> bool:
    """Tell whether the arrays are of the same images."""
    (height, width), count = found.size, found.rest.shape[0]
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
        return False
    even = (height + height % 2, width + width % 2)
    return (
        0.0 < found.fine_step <= found.step < np.inf
        and found.rest.shape == (count, 4, even[0] // 2, even[1] // 2)
        and found.beyond.shape == (count, 1, *even)
        and found.correction.shape == found.black.shape == (count, 2, height, width)
    )


def _write_arrays(file: BinaryIO, arrays: Mapping[str, Any]) -> None:
    """Write arrays as ``np.savez`` does, but packed by LZMA, and with no time of day."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_LZMA
            with archive.open(member, "w", force_zip64=True) as opened:
                np.save(opened, np.asarray(values), allow_pickle=False)


def byte_planes(values: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Return whole numbers (...) as bytes (4, ...): signs first folded in, so that small numbers have small bytes."""
    folded = ((values << 1) ^ (values >> 31)).astype("<u4")
    return np.ascontiguousarray(np.moveaxis(folded[..., None].view(np.uint8), -1, 0))


def _from_byte_planes(planes: NDArray[np.uint8]) -> NDArray[np.int32]:
    if planes.dtype != np.uint8 or planes.ndim != 5 or planes.shape[0] != 4:
        raise ValueError
    folded = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view("<u4")[..., 0]
    return ((folded >> 1) ^ (0 - (folded & 1))).view(np.int32)
