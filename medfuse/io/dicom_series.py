"""Step 1 of 8, read: which series lie in a place, which of them can be used, and which one is meant."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medfuse.errors import GeometryError, InputError, OptionError
from medfuse.geometry import Matrix, ras_to_lps, same_grid, spacing_mm
from medfuse.io.checks import shown
from medfuse.io.dicom_files import Skipped, search
from medfuse.io.dicom_frames import Frame
from medfuse.io.dicom_geometry import notes_of, plan_grid
from medfuse.io.dicom_instances import Instance, read_instance
from medfuse.io.dicom_stacks import Stack, stacks_of
from medfuse.options import MODALITIES
from medfuse.progress import Progress, Silent, showing

_STEP = "list"
_MOST_CHOICES = 12
_SYNONYMS = {"PET": "PT", "MRI": "MR", "SPECT": "NM"}
_STRAIGHT = 0.9  # cosine to an axis of the patient
_PLANES = ("sagittal", "coronal", "axial")
_LEAST_TILT_DEGREES = 0.5


@dataclass(frozen=True)
class DicomSeries:
    """A series, or one of the stacks that a series is made of. All texts are harmless to print.

    Attributes:
        number: in the list, from 1.
        modality: as DICOM writes it.
        description: of the series, without what identifies the patient.
        slices: how many there are.
        matrix: pixels along a row, and along a column.
        spacing_mm: along a row, along a column, between slices; empty if unknown.
        orientation: axial, coronal, sagittal or oblique; empty if unknown.
        frame_of_reference_uid: empty if it is not stated.
        series_uid: SeriesInstanceUID.
        study_uid: StudyInstanceUID.
        verdict: why it cannot be used; empty if it can.
        notes: what the user should know.
        series_number: SeriesNumber; None if it is not stated.
        frames: the image planes.
    """

    number: int
    modality: str
    description: str
    slices: int
    matrix: tuple[int, int]
    spacing_mm: tuple[float, ...]
    orientation: str
    frame_of_reference_uid: str
    series_uid: str
    study_uid: str
    verdict: str
    notes: tuple[str, ...] = ()
    series_number: int | None = None
    frames: tuple[Frame, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Return how messages call it."""
        named = f" ({self.description})" if self.description else ""
        return f"series {self.number}, {self.modality or 'no modality'}{named}"


@dataclass(frozen=True)
class Catalog:
    """What lies in a place: series sorted by study, series number and UID, and what was skipped."""

    series: tuple[DicomSeries, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Entry:
    """A series on its way into the catalog."""

    series: DicomSeries
    derived: bool
    affine_ras: Matrix | None = None
    shape: tuple[int, ...] = ()


def list_series(path: Path, workspace: Path, progress: Progress | None = None) -> Catalog:
    """List the series of a folder, zip, DICOMDIR or file.

    Args:
        path: where to look; see ``medfuse.io.dicom_files.search``.
        workspace: an existing folder that must stay as long as the series are used: a zip is unpacked there.
        progress: told how many files were read.

    Returns:
        Every series, each stack of a mixed one by itself, with a verdict; and the files that are none.

    Raises:
        UnreadableFileError: if there is no such place.
        InputError: if it holds no DICOM file, or more than is sound.
    """
    progress = progress or Silent()
    found = search(path, workspace, progress)
    instances, broken = _read_all(found.files, progress)
    groups: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in instances:
        groups[instance.study_uid, instance.series_uid].append(instance)
    entries = [entry for group in groups.values() for entry in _entries(group)]
    entries.sort(key=_place)
    numbered = [replace(entry, series=replace(entry.series, number=at)) for at, entry in enumerate(entries, 1)]
    series = tuple(_judged_among(entry, numbered) for entry in numbered)
    return Catalog(series, (*found.skipped, *broken))


def choose_series(catalog: Catalog, wanted: str | None, role: str) -> DicomSeries:
    """Choose the series that a user means.

    Args:
        catalog: what there is.
        wanted: a SeriesInstanceUID, a number of the list, or a modality; None for the only usable one.
        role: ``"fixed"`` or ``"moving"``, for the message.

    Raises:
        OptionError: if what is wanted is not there, or several are meant.
        InputError: if it cannot be used, or nothing can.
    """
    meant = [series for series in catalog.series if wanted is None or _is_meant(series, wanted)]
    usable = [series for series in meant if not series.verdict]
    if len(usable) == 1:
        return usable[0]
    if usable:
        msg = f"the {role} series can be {_choices(usable)}; choose one by its number or UID (--{role})"
        raise OptionError(msg)
    if wanted is not None and not meant:
        asked = shown(wanted[:80])
        msg = f"there is no {role} series {asked}; there are {_choices(catalog.series)}"
        raise OptionError(msg)
    reasons = "; ".join(f"{series.name}: {series.verdict}" for series in meant[:_MOST_CHOICES])
    msg = f"no series can be the {role} volume: {reasons or 'there is none'}"
    raise InputError(msg)


def _is_meant(series: DicomSeries, wanted: str) -> bool:
    asked = wanted.strip()
    return asked in (series.series_uid, str(series.number)) or (
        _SYNONYMS.get(asked.upper(), asked.upper()) == series.modality in MODALITIES
    )


def _choices(series: Sequence[DicomSeries]) -> str:
    named = [f"{one.number} {one.modality} {one.description}".strip() for one in series[:_MOST_CHOICES]]
    more = f" and {len(series) - _MOST_CHOICES} more" if len(series) > _MOST_CHOICES else ""
    return ", ".join(named) + more


def _read_all(files: Sequence[Path], progress: Progress) -> tuple[list[Instance], list[Skipped]]:
    """Read what the catalog needs of each file; one that cannot be read is counted."""
    instances, broken = [], []
    with showing(progress, _STEP):
        for done, path in enumerate(files, 1):
            try:
                instances.append(read_instance(path))
            except InputError:
                broken.append(shown(path.name))
            progress.advance(done, len(files))
    if not broken:
        return instances, []
    name = broken[0] if len(broken) == 1 else f"{len(broken)} files"
    return instances, [Skipped(name, "is damaged, or no object of a series", len(broken))]


def _place(entry: _Entry) -> tuple[str, float, str]:
    series = entry.series
    return series.study_uid, math.inf if series.series_number is None else series.series_number, series.series_uid


def _entries(instances: Sequence[Instance]) -> list[_Entry]:
    """Make the entries of one series: those of its stacks, and one for each reason that keeps images out."""
    groups: dict[tuple[str, str, int, int], list[Instance]] = defaultdict(list)
    for instance in instances:
        if instance.reason:
            groups[instance.reason, "", 0, 0].append(instance)
        else:
            groups["", instance.frame_of_reference_uid, instance.rows, instance.columns].append(instance)
    found = []
    for (reason, _, _, _), group in groups.items():
        found += [_unusable(group, reason)] if reason else _stacked(group)
    if len([entry for entry in found if not entry.series.verdict]) > 1:
        found = [_with_note(entry, "one of several stacks of its series") for entry in found]
    return found


def _with_note(entry: _Entry, note: str) -> _Entry:
    return replace(entry, series=replace(entry.series, notes=(*entry.series.notes, note)))


def _unusable(group: Sequence[Instance], reason: str) -> _Entry:
    frames = sum(max(1, len(instance.frames)) for instance in group) if group[0].rows else 0
    return _Entry(_described(group[0], reason, slices=frames), group[0].derived)


def _described(one: Instance, verdict: str, slices: int, frames: tuple[Frame, ...] = ()) -> DicomSeries:
    return DicomSeries(
        number=0,
        modality=one.modality,
        description=one.description,
        slices=slices,
        matrix=(one.columns, one.rows),
        spacing_mm=(),
        orientation="",
        frame_of_reference_uid=one.frame_of_reference_uid,
        series_uid=one.series_uid,
        study_uid=one.study_uid,
        verdict=verdict,
        series_number=one.series_number,
        frames=frames,
    )


def _stacked(group: Sequence[Instance]) -> list[_Entry]:
    """Make an entry of each stack of images that all lie somewhere."""
    once, repeated = _once(group)
    frames = [frame for instance in once for frame in instance.frames]
    try:
        stacks = stacks_of(frames)
    except GeometryError as error:
        return [_unusable(group, str(error).partition(": ")[2])]
    entries = [_entry(once[0], stack) for stack in stacks]
    if repeated:
        entries = [_with_note(entry, f"{repeated} repeated files of its series were left out") for entry in entries]
    return entries


def _once(group: Sequence[Instance]) -> tuple[list[Instance], int]:
    """Keep one file of each object; where different images carry one UID, keep them all."""
    seen: dict[tuple[object, ...], Instance] = {}
    for instance in group:
        seen.setdefault((instance.uid, *(frame.position for frame in instance.frames)), instance)
    return list(seen.values()), len(group) - len(seen)


def _entry(one: Instance, stack: Stack) -> _Entry:
    """Judge a stack."""
    series = _described(one, "", len(stack.frames), stack.frames)
    notes = [stack.label] if stack.label else []
    if stack.copies:
        notes.append(f"{stack.copies} equal copies of slices were left out")
    if stack.clash:
        verdict = f"{stack.clash} different images lie at one place"
        return _Entry(replace(series, verdict=verdict, notes=tuple(notes)), one.derived)
    try:
        grid = plan_grid(stack.frames, one.rows, one.columns, "it")
    except GeometryError as error:
        return _Entry(replace(series, verdict=_sentence(str(error)), notes=tuple(notes)), one.derived)
    normal = ras_to_lps(grid.affine_ras)[:3, 2]
    notes += notes_of(grid) + _tilt_note(one.tilt, normal)
    series = replace(
        series,
        spacing_mm=tuple(float(value) for value in np.round(spacing_mm(grid.affine_ras), 4)),
        orientation=_orientation(normal),
        notes=tuple(notes),
    )
    return _Entry(series, one.derived, grid.affine_ras, grid.shape)


def _sentence(message: str) -> str:
    return message.removeprefix("it: ").removeprefix("it ")


def _orientation(normal: Iterable[float]) -> str:
    unit = np.abs(np.asarray(list(normal)))
    unit /= np.linalg.norm(unit)
    return _PLANES[int(unit.argmax())] if unit.max() >= _STRAIGHT else "oblique"


def _tilt_note(tilt: float, normal: Iterable[float]) -> list[str]:
    """Say so where the tilt tag speaks of a tilt that the orientation does not show."""
    x, y, z = normal
    shown_degrees = math.degrees(math.atan2(math.hypot(x, y), abs(z)))
    if abs(tilt) < _LEAST_TILT_DEGREES or shown_degrees >= _LEAST_TILT_DEGREES:
        return []
    return [f"GantryDetectorTilt says {tilt:g} degrees and the image orientation none; the orientation is believed"]


def _judged_among(entry: _Entry, entries: Sequence[_Entry]) -> DicomSeries:
    """Find out whether a derived series only shows again what an original one holds."""
    series = entry.series
    if series.verdict or not entry.derived or entry.affine_ras is None:
        return series
    for other in entries:
        if other.derived or other.series.verdict or other.affine_ras is None:
            continue
        alike = ("modality", "study_uid", "frame_of_reference_uid")
        if all(getattr(series, name) == getattr(other.series, name) for name in alike) and same_grid(
            entry.affine_ras, entry.shape, other.affine_ras, other.shape
        ):
            return replace(series, verdict=f"derived from series {other.series.number}, which is here")
    return series
