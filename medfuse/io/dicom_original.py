"""A made-up volume as the DICOM series that a scanner would have sent, for demonstrations and tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
)

from medfuse.errors import InputError
from medfuse.geometry import Matrix, ras_to_lps, spacing_mm
from medfuse.io.dicom_uids import IMPLEMENTATION_UID

_CLASSES = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
    "NM": NuclearMedicineImageStorage,
}
_IMAGE_TYPE = {"CT": ("AXIAL",), "MR": ("OTHER",), "NM": ("RECON TOMO", "EMISSION")}  # beyond the first two values
_UID_ROOT = uuid.UUID("6c0f6f0e-8d2b-4c5e-9b43-1e1f4f5d9a10")  # of medfuse; names below it give the same UID every time
_DATE, _TIME, _INJECTED = "20000101", "120000", "110000"
_HALF_LIFE_S, _DOSE_BQ, _WEIGHT_KG = 6586.2, 370e6, 70.0  # fluorine-18
_AIR_HU = -1024.0
_LARGEST_STORED = 32767


@dataclass(frozen=True)
class OriginalSeries:
    """Who and what a made-up series shows.

    Attributes:
        study: name of the study; equal names give equal StudyInstanceUIDs.
        frame: name of the frame of reference, below that of the study.
        description: SeriesDescription.
        number: SeriesNumber.
        patient: PatientName, which is also the PatientID.
    """

    study: str
    frame: str
    description: str
    number: int
    patient: str = "Phantom"


def made_uid(*names: str) -> str:
    """Return the UID that a list of names always gives."""
    return f"2.25.{uuid.uuid5(_UID_ROOT, '/'.join(names)).int}"


def write_original_series(volume: MetaTensor, folder: Path, series: OriginalSeries) -> list[Path]:
    """Write a volume as an original series: one file a slice, or one file for NM.

    The array is turned so that its axes run to the left, back and head as nearly as they can; no value changes but by
    rounding to the stored integers. PET is stored in Bq/ml with a slope for each slice, and with all that SUV needs.

    Args:
        volume: (1, X, Y, Z) with ``meta["modality"]``; CT in HU, PT in SUV by body weight, others at least 0.
        folder: an existing folder; equal volumes give equal bytes.
        series: who and what it shows.

    Returns:
        The files, in the order of the slices.

    Raises:
        InputError: if there is no such modality.
    """
    modality = str(volume.meta.get("modality", ""))
    if modality not in _CLASSES:
        msg = f"modality is {modality!r}; a series can be made for {', '.join(_CLASSES)}"
        raise InputError(msg)
    values, affine = _turned(volume)
    slices = [np.ascontiguousarray(values[:, :, k].T) for k in range(values.shape[2])]  # each (rows, columns)
    if modality == "NM":
        return [_save(_nuclear(slices, affine, series), folder / "0001.dcm")]
    return [
        _save(_single_frame(modality, pixels, k, affine, series), folder / f"{k + 1:04d}.dcm")
        for k, pixels in enumerate(slices)
    ]


def _turned(volume: MetaTensor) -> tuple[npt.NDArray[np.float64], Matrix]:
    """Flip and permute the axes so that they run to the left, back and head; return the LPS affine too."""
    array, affine = volume.as_tensor()[0].numpy().astype(np.float64), volume.affine.numpy()
    now = nib.orientations.io_orientation(affine)
    wanted = nib.orientations.axcodes2ornt(("L", "P", "S"))
    change = nib.orientations.ornt_transform(now, wanted)
    turned = nib.orientations.apply_orientation(array, change)
    return turned, ras_to_lps(affine @ nib.orientations.inv_ornt_aff(change, array.shape))


def _single_frame(
    modality: str, pixels: npt.NDArray[np.float64], k: int, affine: Matrix, series: OriginalSeries
) -> FileDataset:
    header = _common(modality, series, k)
    header.InstanceNumber = k + 1
    spacing = spacing_mm(affine)
    header.ImageOrientationPatient = _decimals((affine[:3, :2] / spacing[:2]).T.ravel())
    header.ImagePositionPatient = _decimals(affine[:3, 3] + k * affine[:3, 2])
    header.PixelSpacing = _decimals(spacing[[1, 0]])
    header.SliceThickness = _decimals([spacing[2]])[0]
    if modality == "CT":
        _store(header, np.rint(pixels - _AIR_HU), signed=False)
        header.RescaleIntercept, header.RescaleSlope, header.RescaleType = _decimals([_AIR_HU])[0], "1", "HU"
        header.KVP = "120"
        header.AcquisitionNumber = 1
    elif modality == "MR":
        header.SpacingBetweenSlices = header.SliceThickness
        header.ScanningSequence, header.SequenceVariant, header.ScanOptions = "GR", "SP", ""
        header.MRAcquisitionType, header.EchoTime, header.RepetitionTime, header.EchoTrainLength = "3D", "3", "8", "1"
        _store(header, np.rint(pixels), signed=False)
    else:
        _add_emission(header, pixels, k)
    return header


def _add_emission(header: FileDataset, suv: npt.NDArray[np.float64], k: int) -> None:
    """Store SUV as Bq/ml, decay-corrected to the start of the scan, with a slope of this slice's own."""
    left_s = 3600.0  # from injection to the start of the scan
    becquerel = suv * _DOSE_BQ * 2.0 ** (-left_s / _HALF_LIFE_S) / (1000.0 * _WEIGHT_KG)
    slope = float(_decimals([max(float(becquerel.max()), 1.0) / _LARGEST_STORED])[0])
    _store(header, np.rint(becquerel / slope), signed=True)
    header.RescaleSlope, header.RescaleIntercept = _decimals([slope])[0], "0"
    header.Units, header.CountsSource, header.DecayCorrection = "BQML", "EMISSION", "START"
    header.SeriesType, header.CorrectedImage, header.ImageIndex = ["WHOLE BODY", "IMAGE"], ["DECY", "ATTN"], k + 1
    header.CollimatorType, header.RandomsCorrectionMethod = "NONE", "NONE"
    header.ActualFrameDuration, header.FrameReferenceTime, header.DecayFactor = "600000", "0", "1"
    header.NumberOfSlices = 1
    header.PatientWeight = _decimals([_WEIGHT_KG])[0]
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartTime, tracer.Radiopharmaceutical = _INJECTED, "FDG"
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = _decimals([_DOSE_BQ, _HALF_LIFE_S])
    tracer.RadionuclideCodeSequence = [_code("77004003", "SCT", "^18^Fluorine")]
    tracer.RadiopharmaceuticalCodeSequence = [_code("35321007", "SCT", "Fluorodeoxyglucose F^18^")]
    header.RadiopharmaceuticalInformationSequence = [tracer]


def _nuclear(slices: list[npt.NDArray[np.float64]], affine: Matrix, series: OriginalSeries) -> FileDataset:
    """Return a reconstructed tomography: all slices are frames of one object."""
    header = _common("NM", series, 0)
    spacing = spacing_mm(affine)
    header.InstanceNumber = 1
    header.NumberOfFrames = len(slices)
    header.FrameIncrementPointer = 0x00540080  # slice vector
    header.SliceVector = list(range(1, len(slices) + 1))
    header.NumberOfSlices = len(slices)
    header.PixelSpacing = _decimals(spacing[[1, 0]])
    header.SliceThickness = header.SpacingBetweenSlices = _decimals([spacing[2]])[0]
    detector = Dataset()
    detector.ImageOrientationPatient = _decimals((affine[:3, :2] / spacing[:2]).T.ravel())
    detector.ImagePositionPatient = _decimals(affine[:3, 3])
    detector.CollimatorType = "PARA"
    header.DetectorInformationSequence = [detector]
    header.NumberOfDetectors = 1
    header.EnergyWindowInformationSequence = [Dataset()]
    header.NumberOfEnergyWindows = 1
    tracer = Dataset()
    tracer.RadionuclideCodeSequence = [_code("72454003", "SCT", "^99m^Technetium")]
    header.RadiopharmaceuticalInformationSequence = [tracer]
    rotation = Dataset()
    rotation.RotationDirection, rotation.NumberOfFramesInRotation, rotation.StartAngle = "CW", 64, "0"
    rotation.AngularStep, rotation.ScanArc, rotation.ActualFrameDuration = "5.625", "360", "20000"
    rotation.RadialPosition = "150"
    header.RotationInformationSequence = [rotation]
    header.NumberOfRotations = 1
    header.CountsAccumulated = int(sum(float(pixels.sum()) for pixels in slices))
    _store(header, np.rint(np.stack(slices)), signed=False)
    return header


def _common(modality: str, series: OriginalSeries, k: int) -> FileDataset:
    """Return what every object of the series says."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # filled in on writing
    meta.FileMetaInformationVersion = b"\0\1"
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = _CLASSES[modality]
    meta.MediaStorageSOPInstanceUID = made_uid(series.study, series.description, str(k))
    header = FileDataset(None, Dataset(), file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False)
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.ImageType = ["ORIGINAL", "PRIMARY", *_IMAGE_TYPE.get(modality, ())]
    header.Modality, header.Manufacturer = modality, "medfuse phantom"
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(header, f"{name}Date", _DATE)
        setattr(header, f"{name}Time", _TIME)
    header.PatientName, header.PatientID = f"{series.patient}^Digital", series.patient
    header.PatientBirthDate, header.PatientSex, header.ReferringPhysicianName = "", "O", ""
    header.StudyID, header.AccessionNumber, header.StudyDescription = "1", "", "medfuse phantom"
    header.StudyInstanceUID = made_uid(series.study)
    header.SeriesInstanceUID = made_uid(series.study, series.description)
    header.FrameOfReferenceUID = made_uid(series.study, "frame", series.frame)
    header.SeriesDescription, header.SeriesNumber = series.description, series.number
    header.PositionReferenceIndicator, header.BodyPartExamined, header.PatientOrientation = "", "HEAD", ""
    if modality in ("PT", "NM"):
        header.PatientOrientationCodeSequence = [_code("102538003", "SCT", "recumbent")]
        header.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [
            _code("40199007", "SCT", "supine")
        ]
        header.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]
    else:
        header.PatientPosition = "HFS"
    return header


def _store(header: FileDataset, stored: npt.NDArray[np.float64], signed: bool) -> None:
    """Put pixels of 16 bits into the data set; (rows, columns), or (frames, rows, columns)."""
    limits = np.iinfo(np.int16 if signed else np.uint16)
    pixels = stored.clip(limits.min, limits.max).astype(limits.dtype)
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.Rows, header.Columns = pixels.shape[-2:]
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelRepresentation = int(signed)
    header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _decimals(numbers: Iterable[float]) -> list[str]:
    """Write numbers as decimal strings, at most 16 characters long."""
    return [f"{float(number):.9g}" if abs(float(number)) >= 1e-4 else f"{float(number):.8e}" for number in numbers]


def _save(header: FileDataset, path: Path) -> Path:
    header.save_as(path)
    return path
