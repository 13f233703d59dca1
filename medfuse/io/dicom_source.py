"""Step 1 of 8, read: which DICOM headers a volume came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The headers that a volume came from, in the order of its slices.

    It rides along in the metadata of a volume, so that what is written can refer to what was read. Only the modules
    ``medfuse.io.dicom_*`` look into the headers.

    Attributes:
        headers: without pixels: one for each slice along the third axis of the array, in its order; for a multi-frame
            object a single one.
        slice_headers: for each slice of the array the index into ``headers``; -1 for a slice that was interpolated.
        slice_frames: for each slice the number of its frame in that object, from 1; 0 where there are no frames.
    """

    headers: tuple[Dataset, ...]
    slice_headers: tuple[int, ...]
    slice_frames: tuple[int, ...]

    @property
    def series_uid(self) -> str:
        """Return the SeriesInstanceUID."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def study_uid(self) -> str:
        """Return the StudyInstanceUID."""
        return str(self.headers[0].StudyInstanceUID)

    def __deepcopy__(self, memo: dict[int, Any]) -> DicomSource:
        """Return the same handle: MONAI copies metadata at every step, and nobody changes headers."""
        return self
