"""What the catalog keeps of a file: enough to group and judge it, and small, for there may be 100,000."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID, ParametricMapStorage

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import shown
from medfuse.io.dicom_frames import FRAME_TAGS, Frame, frames_of
from medfuse.io.dicom_headers import count_of, number_of, quiet, read_header, text_of
from medfuse.io.dicom_pixels import SIZE_TAGS, check_declared_size, unsupported_pixels
from medfuse.options import MODALITIES

_TAGS: list[Any] = [
    *("SOPClassUID", "SOPInstanceUID", "Modality", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber"),
    *("SeriesDescription", "ProtocolName", "FrameOfReferenceUID", "ImageType", "GantryDetectorTilt"),
    *("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "AccessionNumber"),
    *SIZE_TAGS,
    *FRAME_TAGS,
]
_IDENTIFYING = ("PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "AccessionNumber")
_SHORTEST_IDENTITY = 3
_LONGEST_DESCRIPTION = 64
_NO_SLICES = {
    "LOCALIZER": "a localizer",
    "SCOUT": "a localizer",
    "SCANOGRAM": "a localizer",
    "MOSAIC": "a Siemens mosaic (many slices in one picture); convert it with dcm2niix",
    "SCREEN SAVE": "a screen capture",
    "SCREEN CAPTURE": "a screen capture",
    "SECONDARY CAPTURE": "a screen capture",
    "DOSE_INFO": "a screen capture",
    "MIP": "a projection, not slices",
    "MINIP": "a projection, not slices",
    "MNIP": "a projection, not slices",
    "PROJECTION IMAGE": "a projection, not slices",
    "TOMO": "unreconstructed projections",
    "STATIC": "a planar picture",
    "WHOLE BODY": "a planar picture",
}
_ONLY_NUCLEAR = ("TOMO", "STATIC", "WHOLE BODY")
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and those below it, multi-frame


@dataclass(frozen=True, slots=True)
class Instance:
    """One DICOM object, as far as the catalog needs it; texts are harmless to print.

    Attributes:
        path: its file.
        uid: SOPInstanceUID.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        series_number: SeriesNumber; None if it is not stated.
        modality: as DICOM writes it.
        description: of the series, without what identifies the patient.
        frame_of_reference_uid: empty if it is not stated.
        derived: whether it was made from other images.
        rows: pixels along a column.
        columns: pixels along a row.
        tilt: GantryDetectorTilt in degrees.
        frames: its image planes.
        reason: why it cannot be part of a volume; empty if it can.
    """

    path: Path
    uid: str
    study_uid: str
    series_uid: str
    series_number: int | None
    modality: str
    description: str
    frame_of_reference_uid: str
    derived: bool
    rows: int
    columns: int
    tilt: float
    frames: tuple[Frame, ...]
    reason: str


def read_instance(path: Path) -> Instance:
    """Read what the catalog needs of a file.

    Raises:
        UnreadableFileError: if it is no DICOM object that belongs to a series.
    """
    with quiet():
        return _instance(read_header(path, _TAGS), path)


def _instance(header: Dataset, path: Path) -> Instance:
    series_uid = text_of(header, "SeriesInstanceUID")
    if not series_uid or not text_of(header, "SOPClassUID"):
        msg = f"{shown(path)} states no class or no series; export it again"
        raise UnreadableFileError(msg)
    number = number_of(header, "SeriesNumber")
    kinds = text_of(header, "ImageType").upper().split("\\")
    frames = frames_of(header, path)
    return Instance(
        path=path,
        uid=shown(text_of(header, "SOPInstanceUID")),
        study_uid=shown(text_of(header, "StudyInstanceUID")),
        series_uid=shown(series_uid),
        series_number=None if number is None else int(number),
        modality=shown(text_of(header, "Modality", 16)).upper(),
        description=_description(header),
        frame_of_reference_uid=shown(text_of(header, "FrameOfReferenceUID")),
        derived=kinds[:2] == ["DERIVED", "SECONDARY"] or _class(header) == ParametricMapStorage,
        rows=count_of(header, "Rows"),
        columns=count_of(header, "Columns"),
        tilt=number_of(header, "GantryDetectorTilt") or 0.0,
        frames=frames,
        reason=_reason(header, path, kinds, frames),
    )


def _class(header: Dataset) -> UID:
    return UID(text_of(header, "SOPClassUID"))


def _reason(header: Dataset, path: Path, kinds: list[str], frames: tuple[Frame, ...]) -> str:
    """Say why an object cannot be part of a volume, most telling reason first."""
    sop_class, modality = _class(header), text_of(header, "Modality", 16).upper()
    if not count_of(header, "Rows") or not count_of(header, "Columns"):
        name = sop_class.name if sop_class.name != sop_class else "of an unknown class"
        return f"no image ({shown(name)})"
    for kind in kinds:
        if kind in _NO_SLICES and (kind not in _ONLY_NUCLEAR or modality == "NM"):
            return _NO_SLICES[kind]
    placed = bool(frames) and all(frame.position and frame.orientation and frame.spacing for frame in frames)
    if sop_class.startswith(_CAPTURE) and not placed:
        return "a secondary capture without a place in the patient"
    if modality not in MODALITIES:
        return f"{shown(modality) or 'no modality'}, not one of {', '.join(MODALITIES)}"
    if color := unsupported_pixels(header):
        return color
    if not placed:
        return "states no position, orientation or pixel spacing"
    try:
        check_declared_size(header, path)
    except UnreadableFileError:
        return "declares more pixels than its files can hold"
    return ""


def _description(header: Dataset) -> str:
    """Return what the series is called, as one printable line that does not name the patient."""
    text = text_of(header, "SeriesDescription") or text_of(header, "ProtocolName")
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    for keyword in _IDENTIFYING:
        for part in re.split(r"[\^=\\,\s]+", text_of(header, keyword)):
            if len(part) >= _SHORTEST_IDENTITY:
                text = re.sub(re.escape(part), "***", text, flags=re.IGNORECASE)
    return text[:_LONGEST_DESCRIPTION]
