"""Step 1 of 8, read: which of the sets of a Spatial Registration object is the fixed volume, and which the moving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.errors import InputError
from medfuse.geometry import Matrix, world_transform_to_lps
from medfuse.io.dicom_elements import valid_text
from medfuse.io.dicom_registration_read import RegisteredSet, RegistrationObject
from medfuse.io.dicom_source import DicomSource
from medfuse.io.transform_files import invert_transform

_SAME_TO = 1e-6


@dataclass(frozen=True)
class Place:
    """How a registration object can name a volume; without either, as for a file that is not DICOM, not at all.

    Attributes:
        frame_uid: FrameOfReferenceUID of the volume; "" if it has none.
        instance_uids: SOPInstanceUIDs of its images.
    """

    frame_uid: str = ""
    instance_uids: frozenset[str] = frozenset()

    @property
    def known(self) -> bool:
        """Return whether there is anything to find it by."""
        return bool(self.frame_uid or self.instance_uids)


def place_of_source(frame_uid: str, source: DicomSource | None) -> Place:
    """Return the place of a volume from its frame of reference and the headers it came from."""
    headers = () if source is None else source.headers
    return Place(frame_uid, frozenset(valid_text(header, "SOPInstanceUID") for header in headers) - {""})


def fixed_to_moving_ras(registration: RegistrationObject, fixed: Place, moving: Place) -> Matrix:
    """Return the transform between two volumes that an object registers.

    A volume is found by its images, else by its frame of reference. Of a volume that has neither it is assumed that
    the object was made for it: then the fixed one is the set that the others are registered to, and the moving one the
    only set left.

    Args:
        registration: the object.
        fixed: how it may name the fixed volume.
        moving: the same for the moving volume.

    Returns:
        (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.

    Raises:
        InputError: if the object was made for other volumes, or does not tell the two apart.
    """
    sets, name = registration.sets, registration.name
    one = _find(registration, fixed, "fixed") if fixed.known else None
    other = _find(registration, moving, "moving") if moving.known else None
    if one is None:
        one = _common(registration, other)
    if other is None:
        other = _only_left(sets, one, name)
    if one is other:
        msg = f"{name} does not tell the fixed volume from the moving one; give an object that registers these two"
        raise InputError(msg)
    return world_transform_to_lps(invert_transform(other.to_common_lps) @ one.to_common_lps)


def _find(registration: RegistrationObject, place: Place, role: str) -> RegisteredSet:
    found = [one for one in registration.sets if one.instance_uids & place.instance_uids]
    found = found or [one for one in registration.sets if place.frame_uid and one.frame_uid == place.frame_uid]
    if not found:
        msg = (
            f"{registration.name} registers neither the frame of reference nor the images of the {role} volume; "
            "give the object that was made for it"
        )
        raise InputError(msg)
    if any(not _alike(found[0], one) for one in found):
        msg = f"{registration.name} registers the {role} volume in {len(found)} ways; give an object that has one"
        raise InputError(msg)
    return found[0]


def _common(registration: RegistrationObject, moving: RegisteredSet | None) -> RegisteredSet:
    """Return the set that the others are registered to."""
    sets = registration.sets
    left = [one for one in sets if one is not moving]
    own = [one for one in left if registration.frame_uid and one.frame_uid == registration.frame_uid]
    found = own or [one for one in left if np.array_equal(one.to_common_lps, np.eye(4))]
    if len(left) == 1 or found:
        return (found or left)[0]
    msg = f"{registration.name} does not tell which volume stays in place; give an object in which one does"
    raise InputError(msg)


def _only_left(sets: tuple[RegisteredSet, ...], fixed: RegisteredSet, name: str) -> RegisteredSet:
    """Return the set that is not the fixed one."""
    left = [one for one in sets if one is not fixed and not (one.frame_uid == fixed.frame_uid and _alike(one, fixed))]
    if not left or any(not _alike(left[0], one) for one in left):
        msg = (
            f"{name} registers {len(left)} sets of images beside the fixed one, and the moving volume does not state "
            "which it is; give an object with one"
        )
        raise InputError(msg)
    return left[0]


def _alike(one: RegisteredSet, other: RegisteredSet) -> bool:
    return bool(np.allclose(one.to_common_lps, other.to_common_lps, rtol=0, atol=_SAME_TO))
