"""Step 7 of 8, write: what every object of a run shares, whatever its class."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import __version__ as pydicom_version
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medfuse.geometry import Matrix, world_transform_to_lps
from medfuse.io.dicom_attributes import acquired_attributes, patient_and_study
from medfuse.io.dicom_deidentify import DUMMY_TIME, anonymous_patient, without_identity
from medfuse.io.dicom_elements import code, valid_text
from medfuse.io.dicom_references import SourceSeries, source_series
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_uids import IMPLEMENTATION_UID, Uids

DISCLAIMER = "Not a medical device; research use"
MAKER = "medfuse"
_SERIES_OF = {"fused": 1, "color": 2, "registration": 3, "blending": 4, "moving": 5, "maps": 6}
_OLD_PYDICOM = int(pydicom_version.partition(".")[0]) < 3  # it takes the encoding from the dataset, not its file meta
_MOST_SERIES = 10_000
_UNPAIRED = (  # for other parts of the body, and for an unknown one, the side has to be told
    *("ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "LIVER", "NECK", "PELVIS", "SKULL"),
    *(
        "CSPINE",
        "TSPINE",
        "LSPINE",
        "SSPINE",
        "PROSTATE",
        "BLADDER",
        "UTERUS",
        "PANCREAS",
        "SPLEEN",
        "SPINE",
        "HEADNECK",
        "WHOLEBODY",
    ),
)
_ACQUISITION = ("109101", "DCM", "Acquisition Equipment")
_REFERRED = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality"),
    *("Rows", "Columns", "SamplesPerPixel", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PositionReferenceIndicator"),
)
_NOT_TOLD = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName"),
)
_ALIGNED = {
    "rigid": "registered rigidly",
    "affine": "registered affinely",
    "deformable": "registered with deformation",
    "verify": "resampled by its own position",
    "none": "resampled by its own position",
}
_EQUIPMENT = ("ManufacturerModelName", "DeviceSerialNumber", "StationName", "InstitutionName", "SoftwareVersions")


@dataclass(frozen=True)
class DicomDescription:
    """What was done, in words that go into the headers; none of them may come from a patient's data.

    Attributes:
        method: name of the way of fusing, such as ``"cddfuse"``.
        version: version of medfuse.
        registration: the way of registering; ``"verify"`` and ``"none"`` keep the two affines.
        fixed_modality: MR, CT, PT or NM.
        moving_modality: the same for the moving volume.
        verdict: what the judgement of the registration came to, in words.
        failed: whether the registration was judged wrong, and used all the same.
        restored: which of the fixed and the moving volume a network took the noise out of before they were fused.
    """

    method: str
    version: str
    registration: str
    fixed_modality: str
    moving_modality: str
    verdict: str = "registration not judged"
    failed: bool = False
    restored: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Say in a sentence what the fused volume is."""
        restored = "".join(f"; {role} restored" for role in self.restored)
        return (
            f"{self.fixed_modality} (fixed) and {self.moving_modality} (moving, {_ALIGNED[self.registration]}) "
            f"fused by {self.method}, {MAKER} {self.version}; {self.verdict}{restored}"
        )

    @property
    def use(self) -> str:
        """Say in a series' name what it is for, and whether it must not be believed."""
        return "research use; REGISTRATION FAIL" if self.failed else "research use"


@dataclass(frozen=True, eq=False)
class Derivation:
    """A run, as far as its DICOM objects are concerned.

    Attributes:
        patient: attributes of patient and study in every object.
        study_uid: the study that all objects belong to.
        frame_uid: the frame of reference of the fixed grid.
        fixed: the fixed series.
        moving: the moving series; None if it did not come from DICOM.
        fixed_to_moving_lps: (4, 4), takes points of the fixed volume to points of the moving one, LPS mm.
        uids: maker of the UIDs of this run.
        created: when the objects were made.
        description: what was done.
        notes: what the user should know.
    """

    patient: Dataset
    study_uid: str
    frame_uid: str
    fixed: SourceSeries
    moving: SourceSeries | None
    fixed_to_moving_lps: Matrix
    uids: Uids
    created: dt.datetime
    description: DicomDescription
    deidentified: bool
    notes: list[str] = field(default_factory=list)


def derivation(
    fixed: DicomSource,
    moving: DicomSource | None,
    fixed_to_moving_ras: Matrix,
    uids: Uids,
    description: DicomDescription,
    *,
    deterministic: bool,
    deidentify: bool,
) -> Derivation:
    """Gather what every object of a run shares.

    Raises:
        InputError: if a source has no usable identifiers.
    """
    first = fixed.headers[0]
    fixed_series = _series(fixed, uids, deidentify)
    moving_series = None if moving is None else _series(moving, uids, deidentify)
    return Derivation(
        patient=anonymous_patient(uids) if deidentify else patient_and_study(first),
        study_uid=fixed_series.study_uid,
        frame_uid=fixed_series.frame_uid or uids.new("frame", "fixed"),
        fixed=fixed_series,
        moving=moving_series,
        fixed_to_moving_lps=world_transform_to_lps(np.asarray(fixed_to_moving_ras, dtype=np.float64)),
        uids=uids,
        created=_created(first, deterministic, deidentify),
        description=description,
        deidentified=deidentify,
    )


def _series(source: DicomSource, uids: Uids, deidentify: bool) -> SourceSeries:
    acquired = acquired_attributes(source.headers[0])
    if deidentify:
        return source_series(source, without_identity(acquired), uids.replaced)
    return source_series(source, acquired, str)


def _created(header: Dataset, deterministic: bool, deidentify: bool) -> dt.datetime:
    """Return the time to write: now, the study's own where the run must be repeatable, or a dummy."""
    if deidentify:
        return DUMMY_TIME
    if not deterministic:
        return dt.datetime.now().replace(microsecond=0)
    day, clock = valid_text(header, "StudyDate"), valid_text(header, "StudyTime").partition(".")[0].ljust(6, "0")
    try:
        return dt.datetime.strptime(f"{day}{clock}", "%Y%m%d%H%M%S")
    except ValueError:
        return DUMMY_TIME


def new_dataset(run: Derivation, class_uid: str, purpose: str, number: int) -> FileDataset:
    """Begin an object: patient, study, series, equipment and its own identity.

    Args:
        run: the run.
        class_uid: SOPClassUID.
        purpose: ``"fused"``, ``"color"``, ``"registration"``, ``"blending"``, ``"moving"`` or ``"maps"``.
        number: its number in the series, from 1.
    """
    dataset = FileDataset("", {}, preamble=b"\0" * 128)
    dataset.SOPClassUID = class_uid
    dataset.SOPInstanceUID = run.uids.new(purpose, number)
    dataset.SeriesInstanceUID = run.uids.new(purpose, "series")
    dataset.InstanceNumber = number
    finish(dataset, run, purpose)
    return dataset


def finish(dataset: Dataset, run: Derivation, purpose: str) -> None:
    """Give an object, begun here or by another library, all that the objects of a run share."""
    dataset.update(run.patient)
    dataset.StudyInstanceUID = run.study_uid
    dataset.SeriesNumber = series_number(run, purpose)
    dataset.Manufacturer = MAKER
    dataset.ManufacturerModelName = MAKER
    dataset.DeviceSerialNumber = MAKER
    dataset.SoftwareVersions = run.description.version
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = day_and_time(run)
    dataset.SeriesDate, dataset.SeriesTime = day_and_time(run)
    part = valid_text(run.fixed.acquired, "BodyPartExamined")
    if part in _UNPAIRED:
        dataset.BodyPartExamined = part
    else:
        dataset.Laterality = valid_text(run.fixed.acquired, "Laterality")
    _add_equipment(dataset, run)
    texts = (run.patient, *dataset.get("ContributingEquipmentSequence", ()))
    dataset.SpecificCharacterSet = _character_set("".join(str(item) for item in texts))


def series_number(run: Derivation, purpose: str) -> int:
    """Return a number that sorts a new series behind the fixed one."""
    number = valid_text(run.fixed.acquired, "SeriesNumber")
    base = int(number) if number.isdecimal() and 0 < int(number) < _MOST_SERIES else _MOST_SERIES
    return base * 100 + _SERIES_OF[purpose]


def day_and_time(run: Derivation) -> tuple[str, str]:
    """Return when the objects were made as a DICOM date and time."""
    return run.created.strftime("%Y%m%d"), run.created.strftime("%H%M%S")


def _character_set(text: str) -> str:
    """Choose Latin 1, which every receiver knows, unless a name needs more."""
    return "ISO_IR 100" if all(ord(letter) < 256 for letter in text) else "ISO_IR 192"


def _add_equipment(dataset: Dataset, run: Derivation) -> None:
    """Name the scanners that the sources came from."""
    items: list[Dataset] = []
    for series in (run.fixed, run.moving):
        maker = "" if series is None else valid_text(series.acquired, "Manufacturer")
        if series is None or not maker:
            continue
        item = Dataset()
        item.PurposeOfReferenceCodeSequence = [code(*_ACQUISITION)]
        item.Manufacturer = maker
        item.update({element.tag: element for element in series.acquired if element.keyword in _EQUIPMENT})
        if item not in items:
            items.append(item)
    if items:
        dataset.ContributingEquipmentSequence = items
    elif "ContributingEquipmentSequence" in dataset:
        del dataset.ContributingEquipmentSequence


def add_loss(dataset: Dataset, run: Derivation) -> None:
    """Repeat what stays true of whatever is made from an image: lossy compression, and text burned in."""
    sources = [series for series in (run.fixed, run.moving) if series is not None]
    lossy = [series.acquired for series in sources if valid_text(series.acquired, "LossyImageCompression") == "01"]
    dataset.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if lossy and keyword in lossy[0]:
            dataset[keyword] = lossy[0][keyword]
    if any(valid_text(series.acquired, "BurnedInAnnotation") == "YES" for series in sources):
        dataset.BurnedInAnnotation = "YES"


def stand_in(image: Dataset) -> Dataset:
    """Return what other libraries need of an image to refer to it, without the patient."""
    copy = Dataset()
    copy.update({element.tag: element for element in image if element.keyword in _REFERRED})
    for keyword in _NOT_TOLD:
        setattr(copy, keyword, "")
    return copy


def save(dataset: Dataset, path: Path) -> None:
    """Write an object as a file, uncompressed, Explicit VR Little Endian; the same object gives the same bytes.

    Raises:
        OSError: if it cannot be written.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # filled in on writing
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MEDFUSE"
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
    if _OLD_PYDICOM:
        dataset.is_little_endian, dataset.is_implicit_VR = True, False
    dcmwrite(path, dataset)
