"""Spatial Registration objects as other programs write them: any number of sets, matrices, frames and images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made_dicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

SPATIAL, DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.3"
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def one_set(matrices_lps: Sequence[np.ndarray], frame: str = "", images: Sequence[str] = (), kind: str = "") -> Dataset:
    """Return an item of RegistrationSequence.

    Args:
        matrices_lps: each (4, 4), in the order of their items.
        frame: FrameOfReferenceUID; "" for none.
        images: SOPInstanceUIDs.
        kind: what every matrix is called; "" for ``"AFFINE"``.
    """
    with pydicom.config.disable_value_validation():  # "nan" is no decimal string
        steps = [
            made_dicom.item(
                FrameOfReferenceTransformationMatrix=[f"{value:.10g}" for value in matrix.ravel()],
                FrameOfReferenceTransformationMatrixType=kind or "AFFINE",
            )
            for matrix in matrices_lps
        ]
    item = made_dicom.item(MatrixRegistrationSequence=Items([made_dicom.item(MatrixSequence=Items(steps))]))
    if frame:
        item.FrameOfReferenceUID = frame
    if images:
        item.ReferencedImageSequence = Items([made_dicom.item(ReferencedSOPInstanceUID=image) for image in images])
    return item


def registration(path: Path, sets: Sequence[Dataset], frame: str = "", **elements: Any) -> Path:
    """Write an object that registers sets into a frame of reference."""
    dataset = Dataset()
    dataset.SOPClassUID = SPATIAL
    dataset.SOPInstanceUID = made_dicom.uid(path.name)
    dataset.Modality = "REG"
    if frame:
        dataset.FrameOfReferenceUID = frame
    dataset.RegistrationSequence = Items(sets)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path
