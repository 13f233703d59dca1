"""What a DICOM file says it is, read from its first tags without looking at the picture.

Every tag is taken as raw bytes and decoded here, so that no library complains about a strange value by printing it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import shown

LONGEST_UID = 64
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_TAGS = {
    "image_type": 0x00080008,
    "sop_class": 0x00080016,
    "sop_uid": 0x00080018,
    "modality": 0x00080060,
    "study_uid": 0x0020000D,
    "series_uid": 0x0020000E,
    "position": 0x00200032,
    "frames": 0x00280008,
    "rows": 0x00280010,
}
_DAMAGED = (
    InvalidDicomError,
    ArithmeticError,
    AttributeError,
    LookupError,
    EOFError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class InstanceFacts:
    """What one DICOM instance says about itself.

    Attributes:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        sop_uid: SOPInstanceUID.
        sop_class: SOPClassUID.
        transfer_syntax: TransferSyntaxUID.
        modality: as the file has it, or empty.
        original: whether the picture is an acquired one, and not derived from others.
        image: whether there is a picture at all.
        position: ImagePositionPatient as text, or empty.
        frames: number of pictures, 1 unless the object is a multi-frame one.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    original: bool
    image: bool
    position: str
    frames: int


def is_uid(text: str) -> bool:
    """Tell whether a text is a DICOM UID: digits and dots, at most 64 characters, and so a harmless file name."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


def peek(path: Path) -> InstanceFacts:
    """Read what an instance is.

    Raises:
        UnreadableFileError: if the file is not DICOM, is damaged before the picture, or has no valid UIDs.
        OSError: if the file cannot be read.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS.values()))
        raw = {name: _text(header, tag) for name, tag in _TAGS.items()}
        transfer_syntax = _text(header.file_meta, 0x00020010)
    except _DAMAGED as error:
        msg = f"{shown(path)} is not a readable DICOM file; send or copy it again"
        raise UnreadableFileError(msg) from error
    for name in ("study_uid", "series_uid", "sop_uid", "sop_class"):
        if not is_uid(raw[name]):
            msg = f"{shown(path)}: the {name.replace('_', ' ')} is missing or not a valid UID; send or copy it again"
            raise UnreadableFileError(msg)
    return InstanceFacts(
        study_uid=raw["study_uid"],
        series_uid=raw["series_uid"],
        sop_uid=raw["sop_uid"],
        sop_class=raw["sop_class"],
        transfer_syntax=transfer_syntax,
        modality=raw["modality"],
        original=not raw["image_type"].startswith("DERIVED"),
        image=bool(raw["rows"]),
        position=raw["position"],
        frames=int(raw["frames"]) if raw["frames"].isdecimal() else 1,
    )


def referenced_uids(path: Path) -> set[str]:
    """Return every SOP instance that a DICOM file refers to, such as the sources of a derived picture.

    Raises:
        UnreadableFileError: if the file is not DICOM.
        OSError: if the file cannot be read.
    """
    found: set[str] = set()
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        header.walk(lambda _dataset, element: _note_reference(element, found))
    except _DAMAGED as error:
        msg = f"{shown(path)} is not a readable DICOM file; write it again"
        raise UnreadableFileError(msg) from error
    return found


def _note_reference(element: Any, found: set[str]) -> None:
    if element.tag == 0x00081155:  # ReferencedSOPInstanceUID
        found.add(str(element.value))


def _text(header: Any, tag: int) -> str:
    """Return a tag's bytes as text, without the padding; empty if the tag is missing."""
    element = header.get_item(tag)
    if element is None or element.value is None:
        return ""
    value = element.value
    if tag == _TAGS["rows"]:
        return "some"  # a binary number: that there is one is all that counts
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip(" \0")
