"""Step 7 of 8, write: the transform between two series as a Spatial Registration object, and back (PS3.3, C.20.2)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import Matrix, world_transform_to_lps
from medfuse.io.checks import check_is_file, shown
from medfuse.io.dicom_derived import Derivation, day_and_time, new_dataset, save
from medfuse.io.dicom_elements import code, decimals, valid_text
from medfuse.io.dicom_headers import items_of, numbers_of, read_header
from medfuse.io.dicom_placing import add_frame_of_reference
from medfuse.io.dicom_references import SourceSeries, add_common_references, reference
from medfuse.io.transform_files import check_transform, invert_transform
from medfuse.options import STILL

REGISTRATION_CLASS = "1.2.840.10008.5.1.4.1.1.66.1"
_IDENTITY = ("125021", "DCM", "Frame of Reference Identity")
_BY_CONTENT = ("125024", "DCM", "Image Content-based Alignment")
_RIGID_TO = 1e-6
_LARGEST_FILE = 2**24


@dataclass(frozen=True, eq=False)
class SpatialRegistration:
    """What a Spatial Registration object says.

    Attributes:
        fixed_to_moving_ras: (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.
        kind: ``"RIGID"``, ``"RIGID_SCALE"`` or ``"AFFINE"``.
        fixed_frame_uid: frame of reference of the fixed volume, into which the object registers.
        moving_frame_uid: frame of reference of the moving volume; "" where its images are referred to one by one.
        moving_instance_uids: the objects of the moving series, as far as they are named.
    """

    fixed_to_moving_ras: Matrix
    kind: str
    fixed_frame_uid: str
    moving_frame_uid: str
    moving_instance_uids: tuple[str, ...]


def write_spatial_registration(run: Derivation, path: Path) -> Dataset:
    """Write the transform of a run.

    The object has the frame of reference of the fixed series, and two items: the fixed series with the identity, and
    the moving series with the matrix that takes its points into that frame, LPS mm. Each item names its frame of
    reference and all its images; where both series share one frame, which no matrix but the identity could take into
    itself, the images alone.

    Args:
        run: the run; its moving series is known.
        path: the file to write.

    Returns:
        The object.

    Raises:
        InputError: if there is no moving series, or the matrix cannot be inverted.
    """
    if run.moving is None:
        msg = "a registration object refers to both series, and the moving one is not from DICOM; leave it out"
        raise InputError(msg)
    matrix = invert_transform(check_transform(run.fixed_to_moving_lps, "the transform"))
    dataset = new_dataset(run, REGISTRATION_CLASS, "registration", 1)
    dataset.Modality = "REG"
    dataset.SeriesDescription = f"Registration ({run.description.use})"
    dataset.ContentDate, dataset.ContentTime = day_and_time(run)
    dataset.ContentLabel = "REGISTRATION"
    dataset.ContentDescription = f"Moving onto fixed; {run.description.verdict}"[:64]
    dataset.ContentCreatorName = None
    add_frame_of_reference(dataset, run)
    shared = run.moving.frame_uid == run.frame_uid
    moving_frame = run.moving.frame_uid or run.uids.new("frame", "moving")
    dataset.RegistrationSequence = [
        _item(run.fixed, "" if shared else run.frame_uid, np.eye(4), (_IDENTITY,)),
        _item(run.moving, "" if shared else moving_frame, matrix, _way(run, matrix)),
    ]
    add_common_references(dataset, (*run.fixed.instances, *run.moving.instances))
    save(dataset, path)
    return dataset


def _way(run: Derivation, matrix: Matrix) -> tuple[tuple[str, str, str], ...]:
    """Say how the transform was found: nothing of one that was given and kept, since it does not tell."""
    if run.description.registration not in STILL:
        return (_BY_CONTENT,)
    return (_IDENTITY,) if np.array_equal(matrix, np.eye(4)) else ()


def _item(series: SourceSeries, frame_uid: str, matrix: Matrix, ways: tuple[tuple[str, str, str], ...]) -> Dataset:
    """Return an item of RegistrationSequence."""
    step = Dataset()
    step.FrameOfReferenceTransformationMatrixType = matrix_kind(matrix)
    step.FrameOfReferenceTransformationMatrix = decimals(matrix.ravel())
    registration = Dataset()
    registration.RegistrationTypeCodeSequence = [code(*way) for way in ways]
    registration.MatrixSequence = [step]
    item = Dataset()
    if frame_uid:
        item.FrameOfReferenceUID = frame_uid
    item.ReferencedImageSequence = [reference(instance) for instance in series.instances]
    item.MatrixRegistrationSequence = [registration]
    return item


def matrix_kind(matrix: Matrix) -> str:
    """Return the most special of RIGID, RIGID_SCALE and AFFINE that a matrix is."""
    axes = matrix[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if np.linalg.det(axes) <= 0 or np.abs((axes / lengths).T @ (axes / lengths) - np.eye(3)).max() > _RIGID_TO:
        return "AFFINE"
    return "RIGID" if np.abs(lengths - 1.0).max() <= _RIGID_TO else "RIGID_SCALE"


def read_spatial_registration(path: str | os.PathLike[str]) -> SpatialRegistration:
    """Read a Spatial Registration object of two items: a fixed and a moving series.

    The fixed one is that whose frame of reference is the object's own, or whose matrix is the identity.

    Args:
        path: a DICOM file.

    Raises:
        UnreadableFileError: if it is missing, too large, damaged, or another kind of object.
        InputError: if it holds anything but one linear transform between two series.
    """
    return _parsed(registration_header(Path(path)), shown(path))


def registration_header(path: Path) -> Dataset:
    """Read a DICOM file that is no larger than a registration object can be.

    Raises:
        UnreadableFileError: if it is missing, too large, damaged, or not DICOM.
    """
    if check_is_file(path) > _LARGEST_FILE:
        msg = f"{shown(path)} is larger than {_LARGEST_FILE} bytes, too large for a registration object; give another"
        raise UnreadableFileError(msg)
    return read_header(path)


def _parsed(dataset: Dataset, name: str) -> SpatialRegistration:
    if valid_text(dataset, "SOPClassUID") != REGISTRATION_CLASS:
        msg = f"{name} is no Spatial Registration object; give the registration.dcm of a run"
        raise UnreadableFileError(msg)
    items = items_of(dataset, "RegistrationSequence")
    if len(items) != 2:
        msg = f"{name} registers {len(items)} sets of images; give an object with one fixed and one moving series"
        raise InputError(msg)
    matrices = [_matrix(item, name) for item in items]
    own = valid_text(dataset, "FrameOfReferenceUID")
    fixed = _fixed_item([valid_text(item, "FrameOfReferenceUID") for item in items], matrices, own, name)
    moving = 1 - fixed
    to_moving = invert_transform(matrices[moving]) @ matrices[fixed]
    references = items_of(items[moving], "ReferencedImageSequence")
    return SpatialRegistration(
        fixed_to_moving_ras=world_transform_to_lps(to_moving),
        kind=matrix_kind(to_moving),
        fixed_frame_uid=own,
        moving_frame_uid=valid_text(items[moving], "FrameOfReferenceUID"),
        moving_instance_uids=tuple(valid_text(item, "ReferencedSOPInstanceUID") for item in references),
    )


def _fixed_item(frames: list[str], matrices: list[Matrix], own: str, name: str) -> int:
    """Return which of two items is the fixed one."""
    if frames.count(own) == 1:
        return frames.index(own)
    still = [index for index, matrix in enumerate(matrices) if np.array_equal(matrix, np.eye(4))]
    if still:
        return still[0]
    msg = f"{name} does not tell which series stays in place; give an object whose fixed series has the identity"
    raise InputError(msg)


def _matrix(item: Dataset, name: str) -> Matrix:
    """Return the one matrix of an item."""
    registrations = items_of(item, "MatrixRegistrationSequence")
    steps = items_of(registrations[0], "MatrixSequence") if len(registrations) == 1 else []
    numbers = numbers_of(steps[0], "FrameOfReferenceTransformationMatrix", 16) if len(steps) == 1 else None
    if numbers is None:
        msg = f"{name} does not hold one matrix of 16 numbers for each series; write it again"
        raise InputError(msg)
    return check_transform(np.array(numbers).reshape(4, 4), name)
