"""Step 1 of 8, read: Spatial Registration objects of any program (PS3.3, C.20.2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import Matrix
from medfuse.io.checks import shown
from medfuse.io.dicom_elements import valid_text
from medfuse.io.dicom_headers import items_of, numbers_of
from medfuse.io.dicom_registration import REGISTRATION_CLASS, registration_header
from medfuse.io.transform_files import check_transform

_DEFORMABLE_CLASS = "1.2.840.10008.5.1.4.1.1.66.3"
_RIGID_TO = 1e-2  # some programs round the matrix to three decimals
_SAME_TO = 1e-3


@dataclass(frozen=True, eq=False)
class RegisteredSet:
    """Images that an object registers, and how.

    Attributes:
        frame_uid: their frame of reference; "" where it is not stated.
        instance_uids: those of the images that are named.
        to_common_lps: (4, 4), takes their points into the frame of reference of the object, LPS mm.
    """

    frame_uid: str
    instance_uids: frozenset[str]
    to_common_lps: Matrix


@dataclass(frozen=True, eq=False)
class RegistrationObject:
    """What a Spatial Registration object says.

    Attributes:
        name: of the file, for messages.
        frame_uid: the frame of reference into which everything is registered.
        sets: what is registered. Where no item names that frame, a set that stays in place stands for it.
        order_matters: whether some set's matrices give another transform in the opposite order.
    """

    name: str
    frame_uid: str
    sets: tuple[RegisteredSet, ...]
    order_matters: bool


def read_registration(path: str | os.PathLike[str]) -> RegistrationObject:
    """Read a Spatial Registration object.

    The matrices of a set are applied in the order of their items, as equation C.20.2-2 has it.

    Args:
        path: a DICOM file.

    Raises:
        UnreadableFileError: if it is missing, too large, damaged, or no registration object.
        InputError: if it deforms, or a matrix is missing or means nothing.
    """
    path = Path(path)
    name = shown(path)
    dataset = registration_header(path)
    _check_class(valid_text(dataset, "SOPClassUID"), name)
    chains = [(item, _matrices(item, name)) for item in items_of(dataset, "RegistrationSequence")]
    if not chains:
        msg = f"{name} registers nothing (no RegistrationSequence); export it again"
        raise InputError(msg)
    own = valid_text(dataset, "FrameOfReferenceUID")
    sets = [_set(item, check_transform(_applied_in_order(chain), name)) for item, chain in chains]
    if own and not any(_is_common(one, own) for one in sets):
        sets.append(RegisteredSet(own, frozenset(), np.eye(4)))
    return RegistrationObject(name, own, tuple(sets), any(_order_matters(chain) for _, chain in chains))


def _check_class(uid: str, name: str) -> None:
    if uid == _DEFORMABLE_CLASS:
        msg = f"{name} is a deformable registration, of which no linear transform can be read; give a rigid one"
        raise InputError(msg)
    if uid != REGISTRATION_CLASS:
        msg = f"{name} is DICOM but no Spatial Registration object; give one, such as the registration.dcm of a run"
        raise UnreadableFileError(msg)


def _set(item: Dataset, to_common_lps: Matrix) -> RegisteredSet:
    named = [valid_text(image, "ReferencedSOPInstanceUID") for image in items_of(item, "ReferencedImageSequence")]
    return RegisteredSet(valid_text(item, "FrameOfReferenceUID"), frozenset(filter(None, named)), to_common_lps)


def _is_common(one: RegisteredSet, frame_uid: str) -> bool:
    """Tell whether a set lies in a frame of reference, by its name or, unnamed, because it stays in place."""
    return one.frame_uid == frame_uid or (not one.frame_uid and np.array_equal(one.to_common_lps, np.eye(4)))


def _matrices(item: Dataset, name: str) -> list[Matrix]:
    """Return the matrices of a set in the order of their items."""
    registrations = items_of(item, "MatrixRegistrationSequence")
    steps = items_of(registrations[0], "MatrixSequence") if len(registrations) == 1 else []
    if not steps:
        msg = f"{name} does not hold one registration with matrices for each set of images; export it again"
        raise InputError(msg)
    return [_matrix(step, name) for step in steps]


def _matrix(step: Dataset, name: str) -> Matrix:
    numbers = numbers_of(step, "FrameOfReferenceTransformationMatrix", 16)
    if numbers is None:
        msg = f"{name} holds a matrix that is not of 16 finite numbers; export it again"
        raise InputError(msg)
    matrix = check_transform(np.array(numbers).reshape(4, 4), name)
    stretch = np.abs(matrix[:3, :3].T @ matrix[:3, :3] - np.eye(3)).max()
    if valid_text(step, "FrameOfReferenceTransformationMatrixType") == "RIGID" and stretch > _RIGID_TO:
        msg = f"{name} calls a matrix RIGID that stretches or shears; export it again"
        raise InputError(msg)
    return matrix


def _applied_in_order(chain: Sequence[Matrix]) -> Matrix:
    composed = np.eye(4)
    for matrix in chain:
        composed = matrix @ composed
    return composed


def _order_matters(chain: Sequence[Matrix]) -> bool:
    return bool(np.abs(_applied_in_order(chain) - _applied_in_order(chain[::-1])).max() > _SAME_TO)
