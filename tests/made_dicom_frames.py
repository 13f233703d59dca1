"""Multi-frame DICOM objects made of the classic images of ``made_dicom``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from made_dicom import DATE, TIME, item, set_elements, uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    NuclearMedicineImageStorage,
)

_CLASSES = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage, "PT": EnhancedPETImageStorage}
_OF_FRAMES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope")
_MOVED = (
    *_OF_FRAMES,
    "RescaleIntercept",
    "RescaleType",
    "EchoTime",
    "AcquisitionTime",
    "AcquisitionDate",
    "FrameReferenceTime",
)


def enhanced(images: Sequence[Dataset], order: Sequence[int] | None = None, **elements: Any) -> Dataset:
    """Make an enhanced CT, MR or PET object, with functional groups for each frame.

    Args:
        images: classic images of one series; ``EchoTime`` and ``TemporalPositionIdentifier`` are kept by frame.
        order: of the frames in the object; as given if None.
        elements: to set on the object.
    """
    order = range(len(images)) if order is None else order
    frames = [images[index] for index in order]
    whole = copy.deepcopy(frames[0])
    for keyword in _MOVED:
        set_elements(whole, {keyword: None})
    modality = str(whole.Modality)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = _CLASSES[modality]
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = uid(whole.SeriesInstanceUID, "enhanced")
    whole.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(frame.PixelData for frame in frames)
    plane = item(ImageOrientationPatient=list(frames[0].ImageOrientationPatient))
    measures = item(PixelSpacing=list(frames[0].PixelSpacing), SliceThickness=frames[0].SliceThickness)
    shared = item(PlaneOrientationSequence=Items([plane]), PixelMeasuresSequence=Items([measures]))
    whole.SharedFunctionalGroupsSequence = Items([shared])
    whole.PerFrameFunctionalGroupsSequence = Items([_groups(frame, at) for at, frame in enumerate(frames, 1)])
    if modality == "PT":
        corrections = dict.fromkeys(("Units", "DecayCorrection", "CorrectedImage", "DecayFactor"))
        corrected = {"DecayCorrected": "YES", "DecayCorrectionDateTime": DATE + TIME}
        set_elements(whole, {**corrections, **corrected})
    set_elements(whole, elements)
    return whole


def reconstructed_spect(images: Sequence[Dataset], spacing_mm: float) -> Dataset:
    """Make a reconstructed SPECT object: one position, one orientation, and a spacing that may be negative."""
    whole = copy.deepcopy(images[0])
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = NuclearMedicineImageStorage
    whole.Modality, whole.ImageType = "NM", ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    whole.NumberOfFrames, whole.SpacingBetweenSlices = len(images), spacing_mm
    whole.SliceVector = list(range(1, len(images) + 1))
    whole.FrameIncrementPointer = [0x00540080]
    detector = item(
        ImagePositionPatient=list(whole.ImagePositionPatient),
        ImageOrientationPatient=list(whole.ImageOrientationPatient),
    )
    whole.DetectorInformationSequence = Items([detector])
    set_elements(whole, {"ImagePositionPatient": None, "ImageOrientationPatient": None})
    whole.PixelData = b"".join(image.PixelData for image in images)
    return whole


def _groups(frame: Dataset, at: int) -> Dataset:
    """Make what the functional groups say of one frame."""
    time_point = int(frame.get("TemporalPositionIdentifier", 1))
    content = item(
        StackID="1",
        InStackPositionNumber=at,
        TemporalPositionIndex=time_point,
        DimensionIndexValues=[1, at, time_point],
        FrameAcquisitionDateTime="20240131120000",
    )
    made = item(
        FrameContentSequence=Items([content]),
        PlanePositionSequence=Items([item(ImagePositionPatient=list(frame.ImagePositionPatient))]),
    )
    if frame.Modality == "PT":
        units = item(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM", CodeMeaning="Becquerels/milliliter")
        mapping = item(
            RealWorldValueSlope=float(frame.RescaleSlope),
            RealWorldValueIntercept=float(frame.RescaleIntercept),
            MeasurementUnitsCodeSequence=Items([units]),
        )
        made.RealWorldValueMappingSequence = Items([mapping])
    elif "RescaleSlope" in frame:
        scale = item(
            RescaleSlope=frame.RescaleSlope,
            RescaleIntercept=frame.RescaleIntercept,
            RescaleType=frame.get("RescaleType", "US"),
        )
        made.PixelValueTransformationSequence = Items([scale])
    if "EchoTime" in frame:
        made.MREchoSequence = Items([item(EffectiveEchoTime=float(frame.EchoTime))])
    return made


def frame_order(count: int, seed: int = 0) -> list[int]:
    """Return an order in which frames may be stored."""
    return [int(index) for index in np.random.default_rng(seed).permutation(count)]
