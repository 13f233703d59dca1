"""DICOM series made of numbers: any class, orientation, tilt, gap, rescale and kind of pixel, conforming where asked.

Positions and directions are LPS, as DICOM writes them. Arrays are (X, Y, N): N images of Y rows and X columns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CLASSES = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "NM": NuclearMedicineImageStorage,
    "OT": SecondaryCaptureImageStorage,
}
DATE, TIME = "20240131", "120000"

Extra = Mapping[str, Any] | Callable[[int], Mapping[str, Any]]


def uid(*names: object) -> str:
    """Return the UID that these names always give."""
    return str(generate_uid(entropy_srcs=["made", *map(str, names)]))


def normal(orientation: Sequence[float] = AXIAL) -> np.ndarray:
    """Return the direction in which slices follow each other, (3,)."""
    return np.cross(orientation[:3], orientation[3:])


def places(
    count: int, spacing: float = 2.0, orientation: Sequence[float] = AXIAL, slide: Sequence[float] = (0.0, 0.0, 0.0)
) -> np.ndarray:
    """Return the positions (count, 3) of slices along the normal, each moved by ``slide`` mm from the one before."""
    step = normal(orientation) * spacing + np.asarray(slide)
    return np.array([-20.0, -30.0, 40.0]) + np.arange(count)[:, None] * step


def turned(orientation: Sequence[float], degrees: float) -> tuple[float, ...]:
    """Turn an orientation about the direction of its rows: the plane of a tilted gantry."""
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    angle = np.radians(degrees)
    tilted = np.cos(angle) * column + np.sin(angle) * np.cross(row, column)
    return (*row.tolist(), *tilted.tolist())


def series(
    stored: np.ndarray,
    modality: str = "MR",
    *,
    positions: np.ndarray | None = None,
    orientation: Sequence[float] = AXIAL,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    slope: float | Sequence[float] = 1.0,
    intercept: float | Sequence[float] = 0.0,
    name: str = "series",
    study: str = "study",
    frame_of_reference: str | None = "frame",
    number: int = 1,
    extra: Extra | None = None,
) -> list[Dataset]:
    """Make classic images, one for each slice.

    Args:
        stored: (X, Y, N) of any integer type of 8 or 16 bits, or float32 or float64.
        modality: CT, MR, PT, NM or OT.
        positions: (N, 3); 2 mm along the normal if None.
        orientation: direction of rows and of columns.
        pixel_mm: along X, along Y.
        slope: of all, or of each.
        intercept: of all, or of each.
        name: equal names give equal UIDs.
        study: the same.
        frame_of_reference: the same; None for none.
        number: SeriesNumber.
        extra: elements to set, or None as a value to delete; a function gives them for each index.
    """
    count = stored.shape[2]
    positions = places(count, orientation=orientation) if positions is None else positions
    slopes, intercepts = np.broadcast_to(slope, count), np.broadcast_to(intercept, count)
    made = []
    for index in range(count):
        image = _whole_study(modality, name, study, frame_of_reference, number)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid(study, name, index)
        image.InstanceNumber = index + 1
        image.ImagePositionPatient = [_decimal(value) for value in positions[index]]
        image.ImageOrientationPatient = [_decimal(value) for value in orientation]
        image.PixelSpacing = [_decimal(pixel_mm[1]), _decimal(pixel_mm[0])]
        image.SliceThickness = "2.0"
        _set_pixels(image, stored[:, :, index].T)
        _set_rescale(image, modality, float(slopes[index]), float(intercepts[index]))
        _MODALITY_PARTS[modality](image, index, count)
        set_elements(image, extra(index) if callable(extra) else extra or {})
        made.append(image)
    return made


def save(images: Sequence[Dataset], folder: Path, syntax: str = ExplicitVRLittleEndian, shuffle: int = 0) -> Path:
    """Write images into a folder under names that say nothing, in an order that says nothing either."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(shuffle).permutation(len(images))
    for at, index in enumerate(order):
        save_one(images[index], folder / f"IM{at:05d}", syntax)
    return folder


def save_one(image: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write one object; the image itself stays as it is."""
    image = copy.deepcopy(image)
    image.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian and "PixelData" in image and image.BitsAllocated == 16:
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    image.save_as(path, enforce_file_format=True, little_endian=little, implicit_vr=implicit)
    return path


def set_elements(image: Dataset, elements: Mapping[str, Any]) -> None:
    """Set elements by keyword; None deletes."""
    for keyword, value in elements.items():
        if value is not None:
            setattr(image, keyword, value)
        elif keyword in image:
            delattr(image, keyword)


def item(**elements: Any) -> Dataset:
    """Make a data set of elements."""
    made = Dataset()
    set_elements(made, elements)
    return made


def pet_dose(**changed: Any) -> Mapping[str, Any]:
    """Return what a PET header needs for SUV: 70 kg, 370 MBq of fluorine-18 given an hour before the scan."""
    drug = {
        "Radiopharmaceutical": "FDG",
        "RadiopharmaceuticalStartTime": "110000",
        "RadionuclideTotalDose": 370e6,
        "RadionuclideHalfLife": "6586.2",
        "RadionuclideCodeSequence": Items([_code("77004003", "^18^Fluorine")]),
        "RadiopharmaceuticalCodeSequence": Items([_code("35321007", "Fluorodeoxyglucose F^18^")]),
    }
    known = {key: changed.pop(key) for key in list(changed) if key.startswith(("Radio",))}
    drug.update(known)
    information = Items([item(**drug)])
    return {"PatientWeight": "70", "RadiopharmaceuticalInformationSequence": information, **changed}


def _whole_study(modality: str, name: str, study: str, frame_of_reference: str | None, number: int) -> Dataset:
    """Make what all objects have: patient, study, series, frame of reference, equipment."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID = CLASSES[modality]
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", {"CT": "AXIAL", "MR": "OTHER"}.get(modality, "")]
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = DATE
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = TIME
    image.AccessionNumber = image.ReferringPhysicianName = image.Laterality = ""
    image.StudyID, image.PatientPosition = "1", "HFS"
    image.Modality = modality
    image.Manufacturer = "medfuse tests"
    image.PatientName, image.PatientID = "Roe^Jane", "SECRET-ID-7"
    image.PatientBirthDate, image.PatientSex = "19700101", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID = uid(study), uid(study, name)
    image.SeriesNumber, image.SeriesDescription = number, name
    image.PositionReferenceIndicator = ""
    if frame_of_reference is not None:
        image.FrameOfReferenceUID = uid(study, "for", frame_of_reference)
    return image


def _set_pixels(image: Dataset, pixels: np.ndarray) -> None:
    """Store (rows, columns) pixels, or (frames, rows, columns)."""
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape[-2:]
    bits = image.BitsAllocated = 8 * pixels.dtype.itemsize
    data = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"))).tobytes()
    if pixels.dtype.kind == "f":
        image.__setattr__("FloatPixelData" if bits == 32 else "DoubleFloatPixelData", data)
        return
    image.BitsStored, image.HighBit = bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = data + b"\0" * (len(data) % 2)
    image["PixelData"].VR = "OW" if bits > 8 else "OB"


def _set_rescale(image: Dataset, modality: str, slope: float, intercept: float) -> None:
    if modality in ("CT", "PT") or (slope, intercept) != (1.0, 0.0):
        image.RescaleSlope, image.RescaleIntercept = _decimal(slope), _decimal(intercept)


def _ct(image: Dataset, _index: int, _count: int) -> None:
    image.KVP, image.AcquisitionNumber, image.RescaleType = "120", 1, "HU"


def _mr(image: Dataset, _index: int, _count: int) -> None:
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions = "SE", "NONE", ""
    image.MRAcquisitionType, image.EchoTime, image.RepetitionTime = "2D", "20", "500"
    image.EchoTrainLength = 1


def _pt(image: Dataset, index: int, count: int) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.SeriesType, image.Units, image.CountsSource = ["STATIC", "IMAGE"], "BQML", "EMISSION"
    image.DecayCorrection, image.CorrectedImage = "START", ["DECY", "ATTN"]
    image.CollimatorType, image.RandomsCorrectionMethod = "NONE", "NONE"
    image.NumberOfSlices, image.ImageIndex = count, index + 1
    image.PatientOrientationCodeSequence = Items([_code("102538003", "recumbent")])
    image.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = Items(
        [_code("40199007", "supine")]
    )
    del image.PatientPosition
    image.PatientGantryRelationshipCodeSequence = Items([_code("102540008", "headfirst")])
    image.FrameReferenceTime, image.ActualFrameDuration, image.DecayFactor = "300000", "600000", "1.03"
    set_elements(image, pet_dose())


def _code(value: str, meaning: str) -> Dataset:
    return item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)


def _nothing(_image: Dataset, _index: int, _count: int) -> None:
    """Leave it at that."""


_MODALITY_PARTS = {"CT": _ct, "MR": _mr, "PT": _pt, "NM": _nothing, "OT": _nothing}


def _decimal(value: float) -> str:
    """Write a number in the at most 16 signs of a decimal string."""
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    msg = f"{value} has no decimal string"
    raise ValueError(msg)
