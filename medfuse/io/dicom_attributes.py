"""Step 7 of 8, write: which attributes of a source travel into what is made from it, and in what shape.

Only what is listed here is carried, each value checked against its type: private attributes and acquisition details
that no longer hold stay behind. Single values that a type forbids count as missing.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from medfuse.io.dicom_elements import code, copy_texts, valid_text, valid_texts
from medfuse.io.dicom_headers import value_of

_PATIENT_REQUIRED = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_PATIENT = ("IssuerOfPatientID", "PatientBirthTime")
_STUDY_REQUIRED = ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
_STUDY = ("StudyDescription", "PatientAge", "PatientSize", "PatientWeight")
_REMOVED_IDENTITY = ("PatientIdentityRemoved", "LongitudinalTemporalInformationModified", "DeidentificationMethod")
_SEXES = ("M", "F", "O")

_SERIES = (
    *("Modality", "SeriesNumber", "PatientPosition", "BodyPartExamined", "Laterality", "PositionReferenceIndicator"),
    *("SliceThickness", "BurnedInAnnotation", "LossyImageCompression", "Units"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName", "InstitutionName"),
)
_CT = ("KVP", "ConvolutionKernel", "GantryDetectorTilt")
_MR = (
    *("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime"),
    *("EchoTrainLength", "InversionTime", "MagneticFieldStrength", "FlipAngle"),
)
_PT = (
    *("CountsSource", "DecayCorrection", "CollimatorType", "RandomsCorrectionMethod", "AttenuationCorrectionMethod"),
    *("ScatterCorrectionMethod", "ReconstructionMethod", "FrameReferenceTime", "ActualFrameDuration", "DecayFactor"),
    *("AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime"),
)
_TRACER = (
    *("Radiopharmaceutical", "RadiopharmaceuticalStartTime", "RadionuclideTotalDose", "RadionuclideHalfLife"),
    *("RadionuclidePositronFraction", "RadiopharmaceuticalStartDateTime"),
)
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_LISTS = ("CorrectedImage", "SoftwareVersions", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def patient_and_study(header: Dataset) -> Dataset:
    """Return the attributes of patient and study that every object written shares, without the study's UID."""
    carried = Dataset()
    copy_texts(header, carried, _PATIENT_REQUIRED + _STUDY_REQUIRED, keep_empty=True)
    copy_texts(header, carried, _PATIENT + _STUDY)
    if carried.PatientSex not in _SEXES:
        carried.PatientSex = ""
    if valid_text(header, "PatientIdentityRemoved") == "YES":
        copy_texts(header, carried, _REMOVED_IDENTITY)
        _copy_codes(header, carried, "DeidentificationMethodCodeSequence")
        if "DeidentificationMethod" not in carried and "DeidentificationMethodCodeSequence" not in carried:
            carried.DeidentificationMethod = "not stated by the source"
    return carried


def acquired_attributes(header: Dataset) -> Dataset:
    """Return how a series was acquired, as far as its derivatives may repeat it."""
    kept = Dataset()
    copy_texts(header, kept, _SERIES + _CT + _MR + _PT)
    for keyword in _LISTS:
        texts = valid_texts(header, keyword)
        if texts:
            setattr(kept, keyword, texts)
    _copy_codes(header, kept, "RadionuclideCodeSequence")
    _copy_tracers(header, kept)
    return kept


def _copy_codes(header: Dataset, kept: Dataset, keyword: str) -> None:
    """Copy the items of a code sequence that are whole."""
    codes = [tuple(valid_text(item, part) for part in _CODE) for item in value_of(header, keyword) or ()]
    items = [code(*parts) for parts in codes if all(parts)]
    if items:
        setattr(kept, keyword, items)


def _copy_tracers(header: Dataset, kept: Dataset) -> None:
    items = []
    for source in value_of(header, "RadiopharmaceuticalInformationSequence") or ():
        item = Dataset()
        copy_texts(source, item, _TRACER)
        _copy_codes(source, item, "RadionuclideCodeSequence")
        items.append(item)
    if items:
        kept.RadiopharmaceuticalInformationSequence = items
