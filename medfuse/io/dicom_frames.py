"""One image plane each: classic slices and the frames of multi-frame objects as one thing.

Positions and directions are as DICOM writes them: LPS, millimetres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from medfuse.io.dicom_headers import count_of, first_of, number_of, numbers_of, text_of, value_of

MOST_FRAMES = 100_000

# What can tell apart images of one place: tried in this order, and only where images share a place.
_CLASSIC_FLAVORS: tuple[str | int, ...] = (
    *("EchoNumbers", "EchoTime", "TemporalPositionIdentifier", "ImageType"),
    *("DiffusionBValue", 0x0019100C, 0x20011003, 0x00431039),  # and as Siemens, Philips and GE write the b-value
    *("DiffusionGradientOrientation", 0x0019100E),
    *("InversionTime", "FlipAngle", "TriggerTime", "FrameReferenceTime", "ConvolutionKernel", "KVP"),
    *("AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime", "ContentTime"),
)
_FRAME_FLAVORS: tuple[tuple[str, str], ...] = (
    ("FrameContentSequence", "StackID"),
    ("MREchoSequence", "EffectiveEchoTime"),
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("MRImageFrameTypeSequence", "FrameType"),
    ("CTImageFrameTypeSequence", "FrameType"),
    ("PETFrameTypeSequence", "FrameType"),
    ("MRImageFrameTypeSequence", "ComplexImageComponent"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("CTReconstructionSequence", "ConvolutionKernel"),
    ("FrameContentSequence", "FrameAcquisitionNumber"),
)
_MOST_DIMENSIONS = 8
_PRIVATE_NAMES = {0x0019100C: "b-value", 0x20011003: "b-value", 0x00431039: "b-value", 0x0019100E: "direction"}
CLASSIC_FLAVOR_NAMES = tuple(_PRIVATE_NAMES[name] if isinstance(name, int) else name for name in _CLASSIC_FLAVORS)
FRAME_FLAVOR_NAMES = (
    *(name for _, name in _FRAME_FLAVORS),
    *(f"dimension {number}" for number in range(1, _MOST_DIMENSIONS + 1)),
)
FRAME_TAGS: list[Any] = [
    *_CLASSIC_FLAVORS,
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DetectorInformationSequence"),
    *("NumberOfFrames", "Rows", "Columns"),
]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one image plane is stored, and where it lies.

    Attributes:
        path: its file.
        number: of the frame in that file, from 1; 0 for a classic image.
        position: of the center of the first voxel, LPS mm; None if it is not stated.
        orientation: direction of the rows and of the columns, LPS; None if it is not stated.
        spacing: mm between rows, and between columns; None if it is not stated.
        thickness: of the slice in mm, 0 if not stated; it never decides where a slice lies.
        flavor: what may tell it apart from another image of the same place, in order of weight.
    """

    path: Path
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float
    flavor: tuple[str, ...]


def frames_of(header: Dataset, path: Path) -> tuple[Frame, ...]:
    """List the image planes of a file, in stored order.

    Args:
        header: with the elements of ``FRAME_TAGS``.
        path: its file.

    Returns:
        One for each frame; none where the object holds no image, or frames whose places are not stated.
    """
    if not count_of(header, "Rows") or not count_of(header, "Columns"):
        return ()
    if value_of(header, "PerFrameFunctionalGroupsSequence") is not None:
        return tuple(_enhanced(header, path))
    if value_of(header, "DetectorInformationSequence") is not None and count_of(header, "NumberOfFrames", 1) > 1:
        return tuple(_reconstructed_nuclear(header, path))
    if count_of(header, "NumberOfFrames", 1) > 1:
        return ()
    return (_classic(header, path),)


def group_item(header: Dataset, number: int, name: str) -> Dataset:
    """Return the item of a functional group that holds for a frame, empty if there is none.

    Args:
        header: of a multi-frame object.
        number: of the frame, from 1.
        name: keyword of the group, such as ``PixelMeasuresSequence``.
    """
    frames = value_of(header, "PerFrameFunctionalGroupsSequence")
    if frames is not None and 0 < number <= len(frames):
        own = first_of(frames[number - 1], name)
        if len(own):
            return own
    return first_of(first_of(header, "SharedFunctionalGroupsSequence"), name)


def _classic(header: Dataset, path: Path) -> Frame:
    return Frame(
        path=path,
        number=0,
        position=numbers_of(header, "ImagePositionPatient", 3),
        orientation=numbers_of(header, "ImageOrientationPatient", 6),
        spacing=numbers_of(header, "PixelSpacing", 2),
        thickness=number_of(header, "SliceThickness") or 0.0,
        flavor=tuple(_shortened(text_of(header, name)) for name in _CLASSIC_FLAVORS),
    )


def _enhanced(header: Dataset, path: Path) -> Iterator[Frame]:
    """Yield the frames of an object with functional groups."""
    for number in range(1, min(len(header.PerFrameFunctionalGroupsSequence), MOST_FRAMES) + 1):
        measures = group_item(header, number, "PixelMeasuresSequence")
        place = group_item(header, number, "PlanePositionSequence")
        plane = group_item(header, number, "PlaneOrientationSequence")
        yield Frame(
            path=path,
            number=number,
            position=numbers_of(place, "ImagePositionPatient", 3),
            orientation=numbers_of(plane, "ImageOrientationPatient", 6),
            spacing=numbers_of(measures, "PixelSpacing", 2),
            thickness=number_of(measures, "SliceThickness") or 0.0,
            flavor=_frame_flavor(header, number),
        )


def _frame_flavor(header: Dataset, number: int) -> tuple[str, ...]:
    """Return what may tell a frame apart, its index along each dimension of the object included."""
    named = [_shortened(text_of(group_item(header, number, group), name)) for group, name in _FRAME_FLAVORS]
    indices = text_of(group_item(header, number, "FrameContentSequence"), "DimensionIndexValues").split("\\")
    return (*named, *(indices + [""] * _MOST_DIMENSIONS)[:_MOST_DIMENSIONS])


def _reconstructed_nuclear(header: Dataset, path: Path) -> Iterator[Frame]:
    """Yield the slices of a reconstructed SPECT: they follow each other along the normal (PS3.3 C.8.4.15)."""
    detector = first_of(header, "DetectorInformationSequence")
    first = numbers_of(detector, "ImagePositionPatient", 3)
    plane = numbers_of(detector, "ImageOrientationPatient", 6)
    step = number_of(header, "SpacingBetweenSlices") or number_of(header, "SliceThickness") or 0.0
    for number in range(1, min(count_of(header, "NumberOfFrames", 1), MOST_FRAMES) + 1):
        yield Frame(
            path=path,
            number=number,
            position=None if first is None or plane is None else _along_normal(first, plane, step * (number - 1)),
            orientation=plane,
            spacing=numbers_of(header, "PixelSpacing", 2),
            thickness=number_of(header, "SliceThickness") or 0.0,
            flavor=(),
        )


def _along_normal(first: tuple[float, ...], plane: tuple[float, ...], distance: float) -> tuple[float, ...]:
    (a, b, c), (d, e, f) = plane[:3], plane[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return tuple(start + distance * part for start, part in zip(first, normal, strict=True))


def _shortened(text: str) -> str:
    return text[:64]
