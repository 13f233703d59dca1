"""Step 7 of 8, write: a volume as a derived series of the class that its reference series has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from medfuse.geometry import Matrix
from medfuse.io.dicom_classes import class_of
from medfuse.io.dicom_derived import Derivation, add_loss, new_dataset, save
from medfuse.io.dicom_elements import valid_text
from medfuse.io.dicom_look import GrayLook, add_look, add_pixels, describe, scaling_of
from medfuse.io.dicom_nuclear import write_nuclear
from medfuse.io.dicom_placing import add_slice_geometry, add_sources, affine_of, check_right_angles


def write_gray_series(
    volume: MetaTensor, run: Derivation, purpose: str, modality: str, look: GrayLook, folder: Path
) -> list[Dataset]:
    """Write a volume on the fixed grid as one image for each slice along its third axis; for NM as one of all.

    Args:
        volume: (1, X, Y, Z), finite.
        run: the run.
        purpose: ``"fused"`` or ``"moving"``.
        modality: MR, CT, PT or NM: what the class of the series is for.
        look: units and window.
        folder: an existing folder; ``IM0001.dcm`` and so on are written into it.

    Returns:
        The objects without their pixels, in the order of the slices; for NM the one multi-frame object.

    Raises:
        IntensityError: if values are not finite.
        GeometryError: if rows and columns are not at right angles, which DICOM cannot tell.
    """
    array = np.asarray(volume.detach().as_tensor().cpu().numpy())[0]
    affine = affine_of(volume)
    check_right_angles(affine)
    chosen = scaling_of(array, look, modality)
    if modality == "NM":
        return [write_nuclear(array, affine, run, purpose, chosen, look, folder)]
    heads = []
    for number, dataset in enumerate(_images(array, affine, run, purpose, modality), 1):
        add_pixels(dataset, chosen.stored(array[:, :, number - 1].T))
        add_look(dataset, chosen, look, modality)
        save(dataset, folder / f"IM{number:04d}.dcm")
        del dataset.PixelData
        heads.append(dataset)
    return heads


def _images(
    array: npt.NDArray[np.floating], affine: Matrix, run: Derivation, purpose: str, modality: str
) -> Iterator[Dataset]:
    """Yield the object of each slice, without pixels."""
    kind = class_of(modality)
    series = run.moving if purpose == "moving" else run.fixed
    for k in range(array.shape[2]):
        dataset = new_dataset(run, kind.uid, purpose, k + 1)
        dataset.Modality = modality
        dataset.ImageType = ["DERIVED", *kind.image_type]
        describe(dataset, run, purpose)
        if modality != "PT":  # there a sequence tells how the patient lay
            dataset.PatientPosition = valid_text(run.fixed.acquired, "PatientPosition")
        add_slice_geometry(dataset, affine, k)
        thickness = valid_text(run.fixed.acquired, "SliceThickness")
        dataset.SliceThickness = thickness if thickness else dataset.SpacingBetweenSlices
        add_sources(dataset, run, affine, array.shape, k)
        add_loss(dataset, run)
        kind.complete(dataset, run, series if purpose == "moving" else None, k, array.shape[2])
        yield dataset
