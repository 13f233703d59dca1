"""Small DICOM studies for the tests of networks and the listener, and a fusion that takes no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

ROOT = "1.2.826.0.1.3680043.10.1453"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"


def study_uid(study: int) -> str:
    return f"{ROOT}.{study}"


def series_uid(study: int, series: int) -> str:
    return f"{ROOT}.{study}.{series}"


def make_instance(study: int, series: int, number: int, pixels: int = 8, **changes: object) -> Dataset:
    """Return one slice of an MR series, with the pixels of a noise that depends on where it is."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID = MR
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    instance.file_meta.TransferSyntaxUID = EXPLICIT
    instance.file_meta.ImplementationClassUID = ROOT
    instance.ImageType = ["ORIGINAL", "PRIMARY"]
    instance.Modality = "MR"
    instance.PatientName = "Secret^Patient"
    instance.PatientID = "secret-17"
    instance.StudyInstanceUID = study_uid(study)
    instance.SeriesInstanceUID = series_uid(study, series)
    instance.FrameOfReferenceUID = f"{ROOT}.{study}.0"
    instance.InstanceNumber = number
    instance.ImagePositionPatient = [0.0, 0.0, 5.0 * number]
    instance.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    instance.PixelSpacing = [1.0, 1.0]
    instance.Rows = instance.Columns = pixels
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit = 15
    instance.PixelRepresentation = 0
    noise = np.random.default_rng((study, series, number)).integers(0, 4096, (pixels, pixels), dtype=np.uint16)
    instance.PixelData = noise.tobytes()
    for keyword, value in changes.items():
        setattr(instance, keyword, value)
    return instance


def write_instance(path: Path, instance: Dataset) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, instance, enforce_file_format=True)
    return path


def write_series(
    folder: Path, study: int, series: int, slices: int = 4, pixels: int = 8, **changes: object
) -> list[Path]:
    """Write one MR series and return its files."""
    return [
        write_instance(
            folder / f"{study}_{series}_{number}.dcm", make_instance(study, series, number, pixels, **changes)
        )
        for number in range(1, slices + 1)
    ]


def write_study(folder: Path, study: int, series: int = 2, slices: int = 4, pixels: int = 8) -> list[Path]:
    """Write the series of a study and return their files."""
    return [path for each in range(1, series + 1) for path in write_series(folder, study, each, slices, pixels)]


def derived_from(sources: list[Path]) -> Dataset:
    """Return a derived picture that refers to all of its sources, under new UIDs in the same study."""
    first = pydicom.dcmread(sources[0])
    references = []
    for path in sources:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        references.append(item)
    first.ImageType = ["DERIVED", "SECONDARY"]
    first.SourceImageSequence = references
    first.SeriesInstanceUID = f"{first.StudyInstanceUID}.99"
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = f"{first.StudyInstanceUID}.99.{len(sources)}"
    return first


def quick_fuse(study: Path, output: Path) -> Path:
    """Stand in for a fusion: one derived picture."""
    write_instance(output / "dicom" / "fused.dcm", derived_from(sorted(study.glob("*.dcm"))))
    return output / "dicom"
