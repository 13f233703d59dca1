"""The images of a datastore: known by their ids, and by what is said about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.errors import InputError, OptionError
from medfuse.io.checks import shown
from medfuse.io.modality import find_modality

_UNKNOWN = "UNK"  # what MONAI Label writes for a field that DICOM does not state
_BIDS_SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
_LAST_PART = re.compile(r"[_.\s]+[^_.\s]*$")
_LONGEST_SHOWN = 80


class NotStoredError(InputError):
    """An image, a task or weights that this server does not have."""


@dataclass(frozen=True)
class StoredImage:
    """An image of a datastore.

    Attributes:
        id: what the datastore calls it.
        modality: MR, CT, PT or NM, or None if nothing says so.
        patient: whose it is: equal words for one patient's images, or None if nothing says so.
    """

    id: str
    modality: str | None
    patient: str | None


def checked_id(value: object, role: str) -> str:
    """Return what may be the id of an image, or refuse what cannot be one.

    Args:
        value: what a client sent.
        role: what the image is for, for the message.

    Raises:
        OptionError: if it is missing, no text, or a path.
    """
    if value is None or value == "":
        msg = f"the {role} image is missing; give the id of an image of the datastore"
        raise OptionError(msg)
    if not isinstance(value, str):
        msg = f"the {role} image is no text; give the id of an image of the datastore"
        raise OptionError(msg)
    if any(sign in value for sign in ("/", "\\", "..", "\0")):
        msg = f"the {role} image {short(value)!r} is a path; give the id of an image of the datastore"
        raise OptionError(msg)
    return value


def not_stored(image_id: str) -> NotStoredError:
    """Return what is said about an image that is not there."""
    return NotStoredError(f"the datastore has no image {short(image_id)!r}; list its images at /datastore/?output=all")


def described(image_id: str, info: Mapping[str, Any], path: Path | None = None) -> StoredImage:
    """Find out what an image shows and whose it is.

    The datastore's own fields ``Modality`` and ``PatientID`` go first, then a JSON sidecar beside the file, then the
    name: ``sub-01_T1w`` and ``sub-01_ct`` are of one patient, and so are ``lee_t1`` and ``lee_ct``.

    Args:
        image_id: what the datastore calls it.
        info: what the datastore knows about it.
        path: its file, if it is one.
    """
    file = Path(f"{image_id}.nii.gz") if path is None else path
    found = find_modality(file, {"modality": _stated(info, "Modality")}, {} if path is None else None)
    modality = None if found is None else found.modality
    return StoredImage(image_id, modality, _stated(info, "PatientID") or _patient_in(image_id))


def short(text: str) -> str:
    """Return the beginning of a text from a client, fit to be shown."""
    return shown(text)[:_LONGEST_SHOWN]


def _stated(info: Mapping[str, Any], field: str) -> str | None:
    value = info.get(field)
    return value if isinstance(value, str) and value.strip() and value != _UNKNOWN else None


def _patient_in(name: str) -> str | None:
    """Return the subject of a BIDS name, or what stands before the last part of a name, if that tells the modality."""
    subject = _BIDS_SUBJECT.match(name)
    if subject is not None:
        return subject[0]
    rest = _LAST_PART.sub("", name)
    return rest if rest not in ("", name) and find_modality(Path(f"{name}.nii"), None, {}) is not None else None
