"""Runs to write as DICOM: sources made of numbers, volumes on the fixed grid, and what reads the files back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_dicom
import numpy as np
import pydicom
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, EnhancedPETImageStorage

from medfuse.geometry import lps_to_ras
from medfuse.io.dicom_derived import Derivation, DicomDescription, derivation
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_uids import Uids
from medfuse.io.dicom_write import DicomSources, DicomVolumes

SHAPE = (10, 8, 6)
OBLIQUE = (0.99971222877502, 0.0, 0.02398800104856, -0.00172781269060, 0.99740260839462, 0.07200747728347)
ENHANCED = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage, "PT": EnhancedPETImageStorage}

TURN = np.eye(4)
TURN[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
TURN[:3, 3] = (10.123456789, -5.0, 1 / 3)


def headers(modality: str, shape: tuple[int, int, int] = SHAPE, **options: Any) -> list[Dataset]:
    """Make the headers of a classic series; options as for ``made_dicom.series``."""
    stored = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    images = made_dicom.series(stored, modality, pixel_mm=(0.75, 1.25), name=f"{modality} source", **options)
    for image in images:
        del image.PixelData
    return images


def classic(modality: str, **options: Any) -> DicomSource:
    """Make the source of a classic series."""
    images = headers(modality, **options)
    return DicomSource(tuple(images), tuple(range(len(images))), (0,) * len(images))


def enhanced(modality: str, **options: Any) -> DicomSource:
    """Make the source of one multi-frame object, whose frames lie from the last slice to the first."""
    images = headers(modality, **options)
    whole = images[0]
    whole.SOPClassUID, whole.NumberOfFrames = ENHANCED[modality], len(images)
    frames = []
    for image in reversed(images):
        place = made_dicom.item(ImagePositionPatient=image.ImagePositionPatient)
        frames.append(made_dicom.item(PlanePositionSequence=Items([place])))
    axes = made_dicom.item(ImageOrientationPatient=whole.ImageOrientationPatient)
    measures = made_dicom.item(PixelSpacing=whole.PixelSpacing, SliceThickness="2.0")
    whole.SharedFunctionalGroupsSequence = Items(
        [made_dicom.item(PlaneOrientationSequence=Items([axes]), PixelMeasuresSequence=Items([measures]))]
    )
    whole.PerFrameFunctionalGroupsSequence = Items(frames)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del whole[keyword]
    return DicomSource((whole,), (0,) * len(images), tuple(range(len(images), 0, -1)))


def affine_of(images: Sequence[Dataset]) -> np.ndarray:
    """Return the affine in RAS mm that classic images of one series state."""
    place = np.array([image.ImagePositionPatient for image in images], dtype=np.float64)
    axes = np.array(images[0].ImageOrientationPatient, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, 0] = axes[:3] * float(images[0].PixelSpacing[1])
    affine[:3, 1] = axes[3:] * float(images[0].PixelSpacing[0])
    affine[:3, 2] = (place[-1] - place[0]) / (len(place) - 1)
    affine[:3, 3] = place[0]
    return lps_to_ras(affine)


def volume(affine: np.ndarray, low: float = 0.0, high: float = 1.0, shape: Sequence[int] = SHAPE) -> MetaTensor:
    """Make a volume of random values."""
    values = np.random.default_rng(7).uniform(low, high, (1, *shape)).astype(np.float32)
    return MetaTensor(torch.from_numpy(values), affine=torch.from_numpy(affine), meta={})


def color_volume(affine: np.ndarray, shape: Sequence[int] = SHAPE) -> MetaTensor:
    values = np.random.default_rng(8).integers(0, 256, (3, *shape)).astype(np.uint8)
    return MetaTensor(torch.from_numpy(values), affine=torch.from_numpy(affine), meta={})


def all_volumes(affine: np.ndarray, shape: Sequence[int] = SHAPE, units: str = "stored values") -> DicomVolumes:
    """Make everything that can be written."""
    moving = volume(affine, -100.0, 900.0, shape)
    moving.meta["units"] = units
    maps = {"provenance": volume(affine, shape=shape), "fidelity": volume(affine, -2.0, 3.0, shape)}
    return DicomVolumes(
        volume(affine, shape=shape), color_volume(affine, shape), moving, (0.0, 200.0), (-50.0, 500.0), maps
    )


def description(fixed: str = "MR", moving: str = "CT", method: str = "cddfuse") -> DicomDescription:
    return DicomDescription(method, "1.2.3", "rigid", fixed, moving)


def sources(fixed: DicomSource | None, moving: DicomSource | None, transform: np.ndarray = TURN) -> DicomSources:
    return DicomSources(fixed, moving, transform)


def made_run(
    fixed: DicomSource,
    moving: DicomSource | None,
    transform: np.ndarray = TURN,
    told: DicomDescription | None = None,
    *,
    deidentify: bool = False,
) -> Derivation:
    """Begin a run."""
    told = told or description()
    return derivation(fixed, moving, transform, Uids("seed"), told, deterministic=True, deidentify=deidentify)


def read_all(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def real_values(images: Sequence[Dataset]) -> np.ndarray:
    """Return the values (X, Y, Z) that classic images of one series hold."""
    slices = [image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept) for image in images]
    return np.stack(slices, axis=-1).transpose(1, 0, 2)
