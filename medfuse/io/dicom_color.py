"""Step 7 of 8, write: a color volume as true-color Secondary Capture images that keep their place in the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medfuse.errors import InputError
from medfuse.extras import required
from medfuse.geometry import Matrix, directions, ras_to_lps
from medfuse.io.dicom_derived import DISCLAIMER, MAKER, Derivation, add_loss, day_and_time, finish, save
from medfuse.io.dicom_elements import code
from medfuse.io.dicom_placing import (
    add_frame_of_reference,
    add_slice_geometry,
    add_sources,
    affine_of,
    check_right_angles,
)

_COLORED = ("COLOR", "99MEDFUSE", "Pseudo-coloring")
_TOWARD = (("L", "R"), ("P", "A"), ("H", "F"))
_SMALLEST_COMPONENT = 0.05


def write_color_series(color: MetaTensor, run: Derivation, folder: Path) -> None:
    """Write a color volume on the fixed grid as one image for each slice along its third axis.

    Args:
        color: (3, X, Y, Z) uint8: red, green, blue.
        run: the run.
        folder: an existing folder; ``IM0001.dcm`` and so on are written into it.

    Raises:
        MissingExtraError: if highdicom is not installed.
        InputError: if the volume has another shape or type.
        GeometryError: if rows and columns are not at right angles.
    """
    secondary_capture = required("highdicom.sc", "highdicom", "dicom").SCImage
    channels = np.asarray(color.detach().as_tensor().cpu().numpy())
    if channels.ndim != 4 or channels.shape[0] != 3 or channels.dtype != np.uint8:
        msg = f"a color volume is (3, X, Y, Z) uint8, this one is {channels.shape} {channels.dtype}; convert it"
        raise InputError(msg)
    affine = affine_of(color)
    check_right_angles(affine)
    for k in range(channels.shape[3]):
        pixels = np.ascontiguousarray(channels[..., k].transpose(2, 1, 0))  # (rows, columns, RGB)
        dataset = _capture(secondary_capture, pixels, run, k)
        _complete(dataset, run, affine, channels.shape[1:], k)
        save(dataset, folder / f"IM{k + 1:04d}.dcm")


def _capture(secondary_capture: type[Dataset], pixels: npt.NDArray[np.uint8], run: Derivation, k: int) -> Dataset:
    """Make the image of one slice; patient and study are filled in later, for they would be quoted in warnings."""
    return secondary_capture(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=run.study_uid,
        series_instance_uid=run.uids.new("color", "series"),
        series_number=1,
        sop_instance_uid=run.uids.new("color", k + 1),
        instance_number=k + 1,
        manufacturer=MAKER,
        patient_orientation=("L", "P"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _complete(dataset: Dataset, run: Derivation, affine: Matrix, shape: tuple[int, ...], k: int) -> None:
    """Add what the images of a run share, and where this one lies."""
    finish(dataset, run, "color")
    told = run.description
    dataset.SeriesDescription = f"Fused {told.fixed_modality} + {told.moving_modality} color ({told.use})"
    dataset.DerivationDescription = f"{told.text}, colored by the moving volume. {DISCLAIMER}"
    dataset.DerivationCodeSequence = [code(*_COLORED)]
    dataset.ConversionType = "WSD"
    dataset.DateOfSecondaryCapture, dataset.TimeOfSecondaryCapture = day_and_time(run)
    dataset.ContentDate, dataset.ContentTime = day_and_time(run)
    add_frame_of_reference(dataset, run)
    add_slice_geometry(dataset, affine, k)
    dataset.PatientOrientation = [toward(axis) for axis in directions(ras_to_lps(affine))[:, :2].T]
    add_sources(dataset, run, affine, shape, k)
    add_loss(dataset, run)


def toward(axis_lps: npt.NDArray[np.float64]) -> str:
    """Name the direction of an axis by letters, the nearest first: "L", or "LPH" for an oblique one."""
    order = np.argsort(-np.abs(axis_lps), kind="stable")
    letters = [_TOWARD[n][int(axis_lps[n] < 0)] for n in order if abs(axis_lps[n]) > _SMALLEST_COMPONENT]
    return "".join(letters)
