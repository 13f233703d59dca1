"""Stored pixels of a file as real values: decoded, freed of padding, rescaled frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medfuse.errors import IntensityError, MissingExtraError, UnreadableFileError
from medfuse.io.checks import MOST_VOXELS, shown
from medfuse.io.dicom_frames import group_item
from medfuse.io.dicom_headers import (
    DAMAGE,
    count_of,
    first_of,
    number_of,
    numbers_of,
    quiet,
    read_elements,
    text_of,
    value_of,
)

PIXEL_TAGS: list[Any] = [
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "FloatPixelData"),
    *("DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "SOPClassUID"),
]
SIZE_TAGS: list[Any] = [name for name in PIXEL_TAGS if "PixelData" not in name and "Extended" not in name]

_PLAIN_SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_HARMLESS_BYTES = 64 * 2**20
_HIGHEST_COMPRESSION = 4096
_MOST_OVERLAYS = 16

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Scale:
    """``value = slope * stored + intercept``."""

    slope: float = 1.0
    intercept: float = 0.0


def check_declared_size(header: Dataset, path: Path) -> None:
    """Refuse a file that declares more pixels than it can hold, before memory is asked for.

    Raises:
        UnreadableFileError: if it does.
    """
    voxels = count_of(header, "Rows") * count_of(header, "Columns") * max(1, count_of(header, "NumberOfFrames", 1))
    samples = max(1, count_of(header, "SamplesPerPixel", 1))
    needed = voxels * samples * max(1, count_of(header, "BitsAllocated", 16)) // 8
    size = path.stat().st_size
    packed = _is_compressed(header)
    holds = max(_HARMLESS_BYTES, size * _HIGHEST_COMPRESSION) if packed else size
    if needed > holds or voxels > MOST_VOXELS:
        msg = f"{shown(path.name)} declares {needed} bytes of pixels and has {size} bytes; copy or export it again"
        raise UnreadableFileError(msg)


def real_frames(
    path: Path, header: Dataset, numbers: Sequence[int], modality: str
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Decode frames of a file and turn them into real values.

    Args:
        path: the file.
        header: its header, without pixels.
        numbers: of the frames, from 1; 0 for a classic image.
        modality: a rescale to physical units is looked for where PET keeps it.

    Yields:
        Each number and its values, (columns, rows) float32, NaN where the image is padded.

    Raises:
        UnreadableFileError: if pixels are missing, truncated or damaged.
        MissingExtraError: if their compression needs a decoder that is not installed.
        IntensityError: if float pixels are NaN or infinite.
    """
    stored = _decoded(path)
    _check_shape(stored, header, path, max(numbers))
    for number in numbers:
        pixels = stored[max(number, 1) - 1]
        padded = _padding(pixels, header)
        scale = scale_of(header, number, modality)
        values = _without_overlay(pixels, header).astype(np.float64) * scale.slope + scale.intercept
        values = _looked_up(values, header, path)
        if pixels.dtype.kind == "f" and not np.isfinite(values[~padded]).all():
            msg = f"{shown(path.name)}: float pixels are NaN or infinite; replace them, for example by 0"
            raise IntensityError(msg)
        values[padded] = np.nan
        yield number, np.asarray(values.T, dtype=np.float32)


def scale_of(header: Dataset, number: int, modality: str = "") -> Scale:
    """Return how stored values of a frame become real ones.

    Args:
        header: of the object.
        number: of the frame, from 1; 0 for a classic image.
        modality: ``"PT"`` in a multi-frame object takes the mapping to real-world values first.
    """
    if number == 0:
        item = header
    else:
        mapped = group_item(header, number, "RealWorldValueMappingSequence")
        slope, intercept = number_of(mapped, "RealWorldValueSlope"), number_of(mapped, "RealWorldValueIntercept")
        if modality == "PT" and slope:
            return Scale(slope, intercept or 0.0)
        item = group_item(header, number, "PixelValueTransformationSequence")
        item = item if len(item) else header
    slope, intercept = number_of(item, "RescaleSlope"), number_of(item, "RescaleIntercept")
    return Scale(slope or 1.0, intercept or 0.0)


def _decoded(path: Path) -> Array:
    """Return the stored pixels, (frames, rows, columns)."""
    stored = read_elements(path, PIXEL_TAGS)
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(stored.dir("PixelData")):
        msg = f"{shown(path.name)} has no pixels; copy or export it again"
        raise UnreadableFileError(msg)
    check_declared_size(stored, path)
    try:
        with quiet():
            pixels = np.asarray(stored.pixel_array)
    except DAMAGE as error:
        raise _undecodable(stored, path, error) from error
    return pixels[None] if pixels.ndim == 2 else pixels


def _undecodable(stored: Dataset, path: Path, error: Exception) -> Exception:
    with quiet():
        syntax = UID(str(stored.file_meta.TransferSyntaxUID))
    if _is_compressed(stored) and find_spec("gdcm") is None:
        msg = f"{shown(path.name)} is compressed ({shown(syntax.name)}); run: pip install 'medfuse[dicom]'"
        return MissingExtraError(msg)
    reason = shown(" ".join(str(error).split())[:120])
    return UnreadableFileError(f"{shown(path.name)}: pixels are truncated or damaged ({reason}); export it again")


def _is_compressed(header: Dataset) -> bool:
    return str(header.file_meta.TransferSyntaxUID) not in _PLAIN_SYNTAXES


def _check_shape(stored: Array, header: Dataset, path: Path, frames: int) -> None:
    size = (count_of(header, "Rows"), count_of(header, "Columns"))
    if stored.ndim != 3 or stored.shape[1:] != size or len(stored) < frames:
        msg = f"{shown(path.name)}: pixels decode to {stored.shape}, not to the declared size; export it again"
        raise UnreadableFileError(msg)


def _padding(pixels: Array, header: Dataset) -> npt.NDArray[np.bool_]:
    """Mark the pixels that the header calls padding (PS3.3 C.7.5.1.1.2)."""
    if pixels.dtype.kind == "f":
        known = [number_of(header, f"{kind}FloatPixelPaddingValue") for kind in ("", "Double")]
        return np.isin(pixels, [number for number in known if number is not None])
    value, limit = number_of(header, "PixelPaddingValue"), number_of(header, "PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(pixels.shape, dtype=np.bool_)
    ends = [_as_stored(number, header) for number in (value, value if limit is None else limit)]
    return np.asarray((pixels >= min(ends)) & (pixels <= max(ends)), dtype=np.bool_)


def _as_stored(number: float, header: Dataset) -> float:
    """Return a padding value as the pixels show it: writers confuse signed and unsigned."""
    bits = count_of(header, "BitsAllocated", 16)
    signed = count_of(header, "PixelRepresentation") == 1
    if signed and number >= 2 ** (bits - 1):
        return number - float(2**bits)
    return number + float(2**bits) if not signed and number < 0 else number


def _without_overlay(pixels: Array, header: Dataset) -> Array:
    """Clear the bits of an old kind of overlay, which was kept in the unused bits of the pixels."""
    stored, allocated = count_of(header, "BitsStored"), count_of(header, "BitsAllocated")
    if pixels.dtype.kind == "f" or not 0 < stored < allocated or not _has_embedded_overlay(header):
        return pixels
    high = count_of(header, "HighBit", stored - 1)
    left, right = allocated - 1 - high, allocated - stored
    if left < 0:
        return pixels
    return np.asarray(np.right_shift(np.left_shift(pixels, left), right))


def _has_embedded_overlay(header: Dataset) -> bool:
    groups = [(0x6000 + 2 * number) << 16 for number in range(_MOST_OVERLAYS)]
    return any(number_of(header, group | 0x0102) and (group | 0x3000) not in header for group in groups)


def _looked_up(values: npt.NDArray[np.float64], header: Dataset, path: Path) -> npt.NDArray[np.float64]:
    """Apply a modality lookup table, which stands in the place of slope and intercept."""
    table = first_of(header, "ModalityLUTSequence")
    described = numbers_of(table, "LUTDescriptor", 3)
    if described is None:
        return values
    entries = value_of(table, "LUTData")
    if isinstance(entries, bytes):
        entries = np.frombuffer(entries, dtype="<u2")
    count, start = int(described[0]) or 2**16, described[1]
    if entries is None or len(entries) != count:
        msg = f"{shown(path.name)}: the modality lookup table is damaged; export it again"
        raise UnreadableFileError(msg)
    indices = np.clip(values - start, 0, count - 1).astype(int)
    looked_up: npt.NDArray[np.float64] = np.asarray(entries, dtype=np.float64)[indices]
    return looked_up


def unsupported_pixels(header: Dataset) -> str:
    """Say why pixels are no plain gray values; empty if they are."""
    shown_as = text_of(header, "PhotometricInterpretation")
    if count_of(header, "SamplesPerPixel", 1) > 1 or shown_as not in ("", "MONOCHROME1", "MONOCHROME2"):
        return f"color pictures ({shown(shown_as)})"
    return ""
