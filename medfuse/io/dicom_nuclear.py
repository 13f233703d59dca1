"""Step 7 of 8, write: a volume as one NM image of all its slices, which is the only shape this class has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from medfuse.errors import GeometryError
from medfuse.geometry import Matrix, directions
from medfuse.io.dicom_derived import Derivation, add_loss, new_dataset, save
from medfuse.io.dicom_look import GrayLook, Scaling, add_look, add_pixels, describe
from medfuse.io.dicom_placing import add_frame_of_reference, add_slice_geometry, add_sources

NM_CLASS = "1.2.840.10008.5.1.4.1.1.20"
_SLICE_VECTOR = 0x00540080
_STRAIGHT = 1e-4


def write_nuclear(
    array: npt.NDArray[np.floating],
    affine: Matrix,
    run: Derivation,
    purpose: str,
    chosen: Scaling,
    look: GrayLook,
    folder: Path,
) -> Dataset:
    """Write a volume on the fixed grid as ``IM0001.dcm``, a reconstructed tomogram of one frame for each slice.

    Args:
        array: (X, Y, Z), finite.
        affine: (4, 4) affine of the grid, RAS.
        run: the run.
        purpose: ``"fused"`` or ``"moving"``.
        chosen: how values are stored.
        look: units and window.
        folder: an existing folder.

    Returns:
        The object without its pixels.

    Raises:
        GeometryError: if the slices are not stacked at right angles, which this class cannot tell.
    """
    axes = directions(affine)
    if float(axes[:, 2] @ np.cross(axes[:, 0], axes[:, 1])) < 1.0 - _STRAIGHT:
        msg = "the slices of the fixed grid are not stacked at right angles, which NM images cannot tell; resample it"
        raise GeometryError(msg)
    count = array.shape[2]
    dataset = new_dataset(run, NM_CLASS, purpose, 1)
    dataset.Modality = "NM"
    dataset.ImageType = ["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"]
    describe(dataset, run, purpose)
    add_frame_of_reference(dataset, run)
    _add_place(dataset, affine)
    add_sources(dataset, run, affine, array.shape, *range(count))
    add_loss(dataset, run)
    dataset.NumberOfFrames, dataset.NumberOfSlices = count, count
    dataset.FrameIncrementPointer = _SLICE_VECTOR
    dataset.SliceVector = list(range(1, count + 1))
    dataset.NumberOfEnergyWindows, dataset.NumberOfDetectors, dataset.NumberOfRotations = 1, 1, 1
    dataset.RotationInformationSequence = []
    dataset.CountsAccumulated = None
    dataset.EnergyWindowInformationSequence = []
    dataset.RadiopharmaceuticalInformationSequence = []
    dataset.PatientOrientationCodeSequence, dataset.PatientGantryRelationshipCodeSequence = [], []
    stored = np.empty((count, array.shape[1], array.shape[0]), dtype=np.int16)  # (frames, rows, columns)
    for k in range(count):
        stored[k] = chosen.stored(array[:, :, k].T)
    add_pixels(dataset, stored)
    add_look(dataset, chosen, look, "NM")
    save(dataset, folder / "IM0001.dcm")
    del dataset.PixelData
    return dataset


def _add_place(dataset: Dataset, affine: Matrix) -> None:
    """Say where the first slice lies, as the detector that this class speaks of, and how far it is to the next."""
    add_slice_geometry(dataset, affine, 0)
    detector = Dataset()
    detector.CollimatorType = None
    detector.ImagePositionPatient = dataset.ImagePositionPatient
    detector.ImageOrientationPatient = dataset.ImageOrientationPatient
    dataset.DetectorInformationSequence = [detector]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation"):
        del dataset[keyword]
    dataset.SliceThickness = dataset.SpacingBetweenSlices
