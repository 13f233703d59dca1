"""DICOM headers, read without pixels and without trust: bounded memory, and values that may be anything.

A header can be huge (private elements of megabytes), damaged (text where a number should be), or not there at all
(no preamble). What is read here costs bounded memory; what cannot be read is an ``UnreadableFileError``.
"""

from __future__ import annotations

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import shown

MOST_HEADER_BYTES = 128 * 2**20
MOST_VALUE_BYTES = 2**20
MOST_INFLATED_BYTES = 512 * 2**20

# What pydicom raises on damaged bytes, as seen when random bytes are changed.
DAMAGE: tuple[type[Exception], ...] = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RecursionError, TypeError, ValueError, struct.error, zlib.error, BytesLengthException),
)
_LARGE_AND_NEEDED = (0x52009229, 0x52009230)  # shared and per-frame functional groups
_PREAMBLE, _MARK = 128, b"DICM"
_DEFLATED = str(DeflatedExplicitVRLittleEndian).encode()
_MOST_META_BYTES = 4096


def read_header(path: Path, tags: list[Any] | None = None) -> Dataset:
    """Read a file's header, without its pixels.

    Args:
        path: a DICOM file, with or without preamble.
        tags: keywords or numbers of the elements to keep; None for all of reasonable size.

    Returns:
        The header. Elements of more than ``MOST_VALUE_BYTES`` are left out, functional groups excepted.

    Raises:
        UnreadableFileError: if it is no DICOM file, damaged, or larger than ``MOST_HEADER_BYTES``.
    """
    try:
        check_inflation(path)
        with path.open("rb") as file, quiet():
            header = pydicom.dcmread(
                _Rationed(file), stop_before_pixels=True, force=True, specific_tags=tags, defer_size=None
            )
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    _drop_large(header)
    _state_syntax(header)
    return header


def read_elements(path: Path, tags: list[Any]) -> Dataset:
    """Read a few elements of a file, pixels among them; the memory this takes is bounded by the file's size.

    Raises:
        UnreadableFileError: if it is no DICOM file, or damaged.
    """
    try:
        check_inflation(path)
        with quiet():
            found = pydicom.dcmread(path, force=True, specific_tags=tags)
    except DAMAGE as error:
        raise _unreadable(path, error) from error
    _state_syntax(found)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Read for the time of a ``with`` block what does not follow the standard, without pydicom's warnings."""
    if pydicom.config.settings.reading_validation_mode == pydicom.config.IGNORE:  # quiet already, which costs time
        yield
        return
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def value_of(header: Dataset, keyword: str | int) -> Any:
    """Return an element's value; None if it is absent, empty or damaged."""
    try:
        if keyword not in header:
            return None
        with quiet():
            element = header.get(keyword)
    except DAMAGE:
        return None
    value = element.value if isinstance(keyword, int) and element is not None else element
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def items_of(header: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where it is absent or something else."""
    value = value_of(header, keyword)
    return list(value) if isinstance(value, pydicom.Sequence) else []


def text_of(header: Dataset, keyword: str | int, longest: int = 256) -> str:
    """Return an element as text; empty if it is absent."""
    value = value_of(header, keyword)
    if value is None:
        return ""
    if isinstance(value, bytes):  # a private element of unknown kind
        value = value.decode("latin-1")
    parts = value if isinstance(value, (list, tuple, MultiValue)) else [value]
    return "\\".join(str(part) for part in parts)[:longest].strip(" \0")


def numbers_of(header: Dataset, keyword: str | int, count: int) -> tuple[float, ...] | None:
    """Return an element as this many finite numbers; None if it is anything else."""
    value = value_of(header, keyword)
    if value is None:
        return None
    parts = list(value) if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) else [value]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(math.isfinite(number) for number in numbers) else None


def number_of(header: Dataset, keyword: str | int) -> float | None:
    """Return an element as one finite number; None if it is anything else."""
    numbers = numbers_of(header, keyword, 1)
    return None if numbers is None else numbers[0]


def count_of(header: Dataset, keyword: str, otherwise: int = 0) -> int:
    """Return an element as a whole number that is not negative; ``otherwise`` if it is absent."""
    number = number_of(header, keyword)
    return otherwise if number is None else max(0, int(number))


def private_tag(header: Dataset, group: int, creator: str, element: int) -> int:
    """Return the tag of a vendor's element: in the block that the vendor reserved, else in the usual first one.

    Args:
        header: that may have it.
        group: odd number of the group.
        creator: name under which the block is reserved.
        element: the last two digits of the element.
    """
    try:
        return int(header.private_block(group, creator).get_tag(element))
    except DAMAGE:
        return (group << 16) | 0x1000 | element


def first_of(header: Dataset, keyword: str) -> Dataset:
    """Return the first item of a sequence; an empty data set if there is none."""
    items = value_of(header, keyword)
    first = items[0] if isinstance(items, pydicom.Sequence) else None
    return first if isinstance(first, Dataset) else Dataset()


def check_inflation(path: Path) -> None:
    """Refuse a deflated file that would fill the memory, before it is inflated.

    Raises:
        UnreadableFileError: if it inflates to more than ``MOST_INFLATED_BYTES``, or cannot be inflated.
    """
    with path.open("rb") as file:
        start = file.read(_MOST_META_BYTES)
        if start[_PREAMBLE : _PREAMBLE + 4] != _MARK or _DEFLATED not in start:
            return
        (meta_length,) = struct.unpack_from("<L", start, _PREAMBLE + 12)
        file.seek(_PREAMBLE + 16 + meta_length)
        inflated, unpacker = 0, zlib.decompressobj(-zlib.MAX_WBITS)
        while block := (unpacker.unconsumed_tail or file.read(2**16)):
            inflated += len(unpacker.decompress(block, 2**22))
            if inflated > MOST_INFLATED_BYTES:
                msg = f"{shown(path)} inflates to more than {MOST_INFLATED_BYTES} bytes; write it without deflation"
                raise UnreadableFileError(msg)


class _Rationed:
    """A file of which only so much can be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_HEADER_BYTES
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Read like a file, and fail where the ration is used up."""
        data = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            msg = f"its header takes more than {MOST_HEADER_BYTES} bytes"
            raise ValueError(msg)
        return data


def _drop_large(header: Dataset) -> None:
    """Forget what is large and serves nobody, so that thousands of headers fit into memory."""
    for tag in list(header.keys()):
        if tag in _LARGE_AND_NEEDED:
            continue
        value = _raw_value(header, tag)
        if isinstance(value, (bytes, str)) and len(value) > MOST_VALUE_BYTES:
            del header[tag]


def _raw_value(header: Dataset, tag: Any) -> Any:
    """Return an element's value as it lies in the file; None of an empty one, which pydicom tries to convert."""
    try:
        return getattr(header.get_item(tag), "value", None)
    except DAMAGE:
        return None


def _state_syntax(header: Dataset) -> None:
    """Give a file that was written without its meta information the transfer syntax that it was read by."""
    meta = getattr(header, "file_meta", None)
    if meta is None:
        meta = header.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" in meta:
        return
    implicit, little = getattr(header, "original_encoding", (True, True))
    if implicit:
        meta.TransferSyntaxUID = ImplicitVRLittleEndian
    else:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _unreadable(path: Path, error: Exception) -> UnreadableFileError:
    if isinstance(error, UnreadableFileError):
        return error
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:120]
    return UnreadableFileError(f"{shown(path)} is not readable DICOM ({shown(reason)}); copy or export it again")
