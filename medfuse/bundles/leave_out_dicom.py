"""Bundles: volumes from DICOM without what a data loader cannot put into a batch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import MapTransform

from medfuse.transforms.volumes import DICOM_KEY


class LeaveOutDicomd(MapTransform):  # type: ignore[misc]
    """Drop the description of the DICOM series that a volume came from; put it after the registration, which reads it.

    Args:
        keys: keys of the volumes.
        allow_missing_keys: skip keys that are absent.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with volumes whose metadata is plain."""
        plain = dict(data)
        for key in self.key_iterator(data):
            plain[key] = data[key].clone()
            plain[key].meta.pop(DICOM_KEY, None)
        return plain
