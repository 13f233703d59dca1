"""Step 7 of 8, write: the series that a result was made from, as DICOM objects refer to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medfuse.errors import InputError
from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.io.dicom_elements import code, valid_text
from medfuse.io.dicom_headers import numbers_of, value_of
from medfuse.io.dicom_source import DicomSource

Slice: TypeAlias = tuple[int, int]  # index of an object, number of its frame

_UID = re.compile(r"[0-9][0-9.]{0,63}")  # some that are in use have zeros where the standard wants none
_PURPOSE = ("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True)
class Instance:
    """One DICOM object, and the series and study that it belongs to."""

    class_uid: str
    uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series that was read, reduced to what is needed to refer to it.

    Attributes:
        acquired: how it was acquired; see ``medfuse.io.dicom_attributes``.
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID.
        frame_uid: FrameOfReferenceUID; "" if the series names none.
        instances: its objects.
        slices: for each slice of the array the index of its object, -1 where it was interpolated, and the number of
            its frame, 0 where there are no frames.
        positions_lps: (Z, 3) center of each slice's first pixel in LPS mm; NaN where it is not known.
        normal_lps: (3,) unit vector across the slices; zero where it is not known.
    """

    acquired: Dataset
    study_uid: str
    series_uid: str
    frame_uid: str
    instances: tuple[Instance, ...]
    slices: tuple[Slice, ...]
    positions_lps: Points
    normal_lps: npt.NDArray[np.float64]

    @property
    def modality(self) -> str:
        """Return the modality as the header states it."""
        return valid_text(self.acquired, "Modality")


def source_series(source: DicomSource, acquired: Dataset, renamed: Callable[[str], str]) -> SourceSeries:
    """Look into the headers of a volume.

    Args:
        source: the headers.
        acquired: what ``acquired_attributes`` kept of the first of them.
        renamed: gives the UID under which another UID is written.

    Raises:
        InputError: if an identifier that everything refers to is missing.
    """
    first = source.headers[0]
    study, series = (renamed(_identifier(first, keyword)) for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
    instances = tuple(
        Instance(_identifier(header, "SOPClassUID"), renamed(_identifier(header, "SOPInstanceUID")), series, study)
        for header in source.headers
    )
    slices = tuple(zip(source.slice_headers, source.slice_frames, strict=True))
    positions = np.array([_position(source, index, frame) for index, frame in slices]).reshape(-1, 3)
    frame_uid = renamed(_identifier(first, "FrameOfReferenceUID")) if value_of(first, "FrameOfReferenceUID") else ""
    return SourceSeries(acquired, study, series, frame_uid, instances, slices, positions, _normal(first))


def _identifier(header: Dataset, keyword: str) -> str:
    text = str(value_of(header, keyword) or "").strip(" \0")
    if not _UID.fullmatch(text):
        msg = f"the DICOM header has no usable {keyword}, which all that is written refers to; give another series"
        raise InputError(msg)
    return text


def _position(source: DicomSource, index: int, frame: int) -> npt.NDArray[np.float64]:
    """Return where a slice lies, or NaN."""
    found = None if index < 0 else in_frame(source.headers[index], frame, "ImagePositionPatient", 3)
    return np.full(3, np.nan) if found is None else found


def in_frame(header: Dataset, frame: int, keyword: str, count: int) -> npt.NDArray[np.float64] | None:
    """Return numbers of an image, or of one frame (from 1) of a multi-frame object; None if absent."""
    groups = [header]
    for name, number in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 1)):
        items = value_of(header, name) or ()
        if 0 < number <= len(items):
            macros = [value_of(items[number - 1], tag) for tag in items[number - 1].keys()]  # noqa: SIM118
            groups += [macro[0] for macro in macros if isinstance(macro, Sequence) and macro]
    found = (numbers_of(group, keyword, count) for group in groups)
    return next((np.array(numbers) for numbers in found if numbers is not None), None)


def _normal(header: Dataset) -> npt.NDArray[np.float64]:
    axes = in_frame(header, 1, "ImageOrientationPatient", 6)
    normal = np.zeros(3) if axes is None else np.asarray(np.cross(axes[:3], axes[3:]), dtype=np.float64)
    length = float(np.linalg.norm(normal))
    return normal / length if length > 0 else normal


def slices_met(series: SourceSeries, corners_lps: Points) -> list[Slice]:
    """Find the slices of a series that a plane piece meets, give or take one slice; at least the nearest one.

    Args:
        series: the series.
        corners_lps: (N, 3) corners of the plane piece in the series' own coordinates.

    Returns:
        Their entries of ``series.slices``; the whole series where it does not tell where its slices lie.
    """
    known = [k for k, (index, _) in enumerate(series.slices) if index >= 0]
    heights = series.positions_lps[known] @ series.normal_lps
    if not known or not np.isfinite(heights).all() or not series.normal_lps.any():
        return whole(series)
    reach = corners_lps @ series.normal_lps
    step = float(np.median(np.abs(np.diff(heights)))) if len(heights) > 1 else 0.0
    met = (heights >= reach.min() - step) & (heights <= reach.max() + step)
    if not met.any():
        met[np.argmin(np.abs(heights - reach.mean()))] = True
    return [series.slices[k] for k, is_met in zip(known, met, strict=True) if is_met]


def own_slice(series: SourceSeries, k: int) -> list[Slice]:
    """Return the entry of slice ``k`` itself, or those of its nearest neighbors that were not interpolated."""
    if series.slices[k][0] >= 0:
        return [series.slices[k]]
    below = next((one for one in reversed(series.slices[:k]) if one[0] >= 0), None)
    above = next((one for one in series.slices[k + 1 :] if one[0] >= 0), None)
    return [one for one in (below, above) if one is not None] or whole(series)


def whole(series: SourceSeries) -> list[Slice]:
    """Return all objects of a series, without frames."""
    return [(index, 0) for index in range(len(series.instances))]


def slice_corners(affine: Matrix, shape: tuple[int, ...], k: int) -> Points:
    """Return the (4, 3) positions of the corner pixels of one slice of a grid."""
    corners = [(i, j, k) for i in (0, shape[0] - 1) for j in (0, shape[1] - 1)]
    return apply_affine(affine, np.array(corners, dtype=np.float64))


def source_images(series: SourceSeries, slices: Iterable[Slice], *, moved: bool) -> list[Dataset]:
    """Return items of SourceImageSequence: one for each object, with its frames where it has any.

    Args:
        series: the series.
        slices: entries of ``series.slices``.
        moved: whether the pixels were brought to other places of the patient's space.
    """
    frames: dict[int, list[int]] = {}
    for index, frame in slices:
        frames.setdefault(index, []).append(frame)
    items = []
    for index, numbers in frames.items():
        item = reference(series.instances[index])
        if any(numbers):
            item.ReferencedFrameNumber = numbers if len(numbers) > 1 else numbers[0]
        item.SpatialLocationsPreserved = "NO" if moved else "YES"
        item.PurposeOfReferenceCodeSequence = [code(*_PURPOSE)]
        items.append(item)
    return items


def reference(instance: Instance) -> Dataset:
    """Return an item that refers to one object."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.class_uid
    item.ReferencedSOPInstanceUID = instance.uid
    return item


def add_common_references(dataset: Dataset, instances: Iterable[Instance]) -> None:
    """Say which series, and which study where it is another one, each object referred to belongs to."""
    studies: dict[str, dict[str, dict[str, Instance]]] = {}
    for instance in instances:
        studies.setdefault(instance.study_uid, {}).setdefault(instance.series_uid, {})[instance.uid] = instance
    others = []
    for study_uid, series in studies.items():
        items = [_series_item(uid, members.values()) for uid, members in series.items()]
        if study_uid == dataset.StudyInstanceUID:
            dataset.ReferencedSeriesSequence = items
        else:
            other = Dataset()
            other.StudyInstanceUID = study_uid
            other.ReferencedSeriesSequence = items
            others.append(other)
    if others:
        dataset.StudiesContainingOtherReferencedInstancesSequence = others


def _series_item(uid: str, members: Iterable[Instance]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedInstanceSequence = [reference(member) for member in members]
    return item
