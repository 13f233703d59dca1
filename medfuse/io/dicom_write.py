"""Step 7 of 8, write: everything that a run gives back as DICOM objects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from medfuse.errors import InputError, OptionError
from medfuse.geometry import Matrix
from medfuse.io.dicom_blending import write_blending
from medfuse.io.dicom_color import write_color_series
from medfuse.io.dicom_derived import Derivation, DicomDescription, derivation
from medfuse.io.dicom_gray import write_gray_series
from medfuse.io.dicom_headers import quiet
from medfuse.io.dicom_look import SHADES, GrayLook
from medfuse.io.dicom_parametric import write_parametric_map
from medfuse.io.dicom_registration import write_spatial_registration
from medfuse.io.dicom_shown import shown_source
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_uids import Uids
from medfuse.io.output_folder import whole_folder

_MAP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class DicomWriteOptions:
    """How to write.

    Attributes:
        deterministic: the same inputs and results give the same bytes: UIDs made from them, times of the study.
            Otherwise UIDs are random and times are now.
        deidentify: leave out who the patient is; see ``medfuse.io.dicom_deidentify``.
    """

    deterministic: bool = False
    deidentify: bool = False


@dataclass(frozen=True, eq=False)
class DicomVolumes:
    """What to write; every volume lies on the fixed grid.

    Attributes:
        fused: (1, X, Y, Z) float in [0, 1].
        color: (3, X, Y, Z) uint8, or None.
        moving_registered: (1, X, Y, Z) the moving volume in its own units, or None.
        fixed_window: the values of the fixed volume to show black and white; None for those its headers state.
        moving_window: the same for the moving volume; None for all.
        maps: float volumes (1, X, Y, Z) by name: small letters, digits, ``-`` and ``_``.
    """

    fused: MetaTensor
    color: MetaTensor | None = None
    moving_registered: MetaTensor | None = None
    fixed_window: tuple[float, float] | None = None
    moving_window: tuple[float, float] | None = None
    maps: Mapping[str, MetaTensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DicomSources:
    """What the volumes were made from.

    Attributes:
        fixed: headers of the fixed volume; None if it did not come from DICOM, which is refused.
        moving: headers of the moving volume, or None.
        fixed_to_moving_ras: (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.
    """

    fixed: DicomSource | None
    moving: DicomSource | None
    fixed_to_moving_ras: Matrix


@dataclass(frozen=True)
class DicomWritten:
    """What was written.

    Attributes:
        folder: the folder of all objects.
        files: paths of the objects by what they are: ``"fused"``, ``"color"``, ``"moving"``, ``"registration"``,
            ``"blending"``, ``"maps"``; one that could not be made is absent, and a note says why.
        study_uid: the study that they belong to.
        series_uids: their series, by the same names.
        notes: what the user should know.
    """

    folder: Path
    files: Mapping[str, tuple[Path, ...]]
    study_uid: str
    series_uids: Mapping[str, str]
    notes: tuple[str, ...]


def write_dicom_outputs(
    volumes: DicomVolumes,
    sources: DicomSources,
    description: DicomDescription,
    options: DicomWriteOptions,
    folder: Path,
) -> DicomWritten:
    """Write a run as DICOM objects into ``folder/dicom``, whole or not at all.

    ``fused/IM0001.dcm`` and so on is the derived gray series, ``color/`` the color series, ``moving/`` the moving
    volume on the fixed grid, ``registration.dcm`` the transform, ``blending.dcm`` how to blend the moving volume over
    the fixed one, ``maps/NAME.dcm`` the parametric maps.

    Args:
        volumes: what to write.
        sources: what it was made from.
        description: what was done.
        options: how to write.
        folder: the folder to make ``dicom`` in.

    Raises:
        OptionError: if the fixed volume did not come from DICOM, or a map's name cannot be a file name.
        InputError: if volumes and headers do not fit, or identifiers are missing.
        MissingExtraError: if highdicom is needed and not installed.
        OutputError: if the folder exists or cannot be written.
    """
    fixed = _checked(volumes, sources)
    run = derivation(
        fixed,
        sources.moving,
        sources.fixed_to_moving_ras,
        _uids(volumes, sources, description, options),
        description,
        deterministic=options.deterministic,
        deidentify=options.deidentify,
    )
    target = Path(folder) / "dicom"
    with whole_folder(target) as temporary, quiet():
        _write_all(volumes, fixed, run, temporary)
        names = sorted(path.relative_to(temporary) for path in temporary.rglob("*.dcm"))
    files: dict[str, tuple[Path, ...]] = {}
    for name in names:
        kind = name.parts[0].removesuffix(".dcm")
        files[kind] = (*files.get(kind, ()), target / name)
    series = {kind: run.uids.new(kind, "series") for kind in files}
    return DicomWritten(target, files, run.study_uid, series, tuple(run.notes))


def _write_all(volumes: DicomVolumes, fixed: DicomSource, run: Derivation, folder: Path) -> None:
    """Write each object that can be made, and note each that cannot."""
    told = run.description
    fused = write_gray_series(volumes.fused, run, "fused", told.fixed_modality, SHADES, _made(folder, "fused"))
    if volumes.color is not None:
        write_color_series(volumes.color, run, _made(folder, "color"))
    if run.moving is None:
        run.notes.append("no registration object was written: the moving volume did not come from DICOM")
    elif told.registration == "deformable":
        run.notes.append("no registration object was written: it holds no deformation; see displacement.nii.gz")
    else:
        write_spatial_registration(run, folder / "registration.dcm")
    _note_missing_frames(run)
    if volumes.moving_registered is None:
        run.notes.append("no presentation state was written: there is no registered moving volume")
    else:
        over = _write_moving(volumes.moving_registered, volumes.moving_window, run, folder)
        under = shown_source(fixed, run, volumes.fixed_window)
        if not under:
            run.notes.append("the presentation state blends over the fused series, not over the fixed one as it came")
        write_blending(run, under or fused, over, folder / "blending.dcm")
    for number, (name, volume) in enumerate(sorted(volumes.maps.items()), 1):
        write_parametric_map(volume, name, number, run, fused, _made(folder, "maps") / f"{name}.dcm")


def _write_moving(
    moving: MetaTensor, window: tuple[float, float] | None, run: Derivation, folder: Path
) -> list[Dataset]:
    """Write the moving volume on the fixed grid, in its own units."""
    values = moving.as_tensor()
    low, high = window or (float(values.min()), float(values.max()))
    units = str(moving.meta.get("units"))
    look = GrayLook(units if units in ("HU", "SUV") else "US", low, high if high > low else low + 1.0)
    return write_gray_series(moving, run, "moving", run.description.moving_modality, look, _made(folder, "moving"))


def _note_missing_frames(run: Derivation) -> None:
    for series, which in ((run.fixed, "fixed"), (run.moving, "moving")):
        if series is not None and not series.frame_uid:
            run.notes.append(f"the {which} series names no frame of reference; what is written names a new one")


def _made(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _checked(volumes: DicomVolumes, sources: DicomSources) -> DicomSource:
    """Refuse what cannot be written, before anything is."""
    if sources.fixed is None:
        msg = "DICOM output needs a fixed volume read from DICOM: what is derived belongs to a study; give a series"
        raise OptionError(msg)
    for name in volumes.maps:
        if not _MAP_NAME.fullmatch(name):
            msg = f"the map's name {name!r} cannot be a file name; use small letters, digits, - and _"
            raise OptionError(msg)
    shape = tuple(volumes.fused.shape)
    given = {"color": volumes.color, "moving_registered": volumes.moving_registered, **volumes.maps}
    for name, volume in {"fused": volumes.fused, **given}.items():
        channels = 3 if name == "color" else 1
        if volume is not None and (volume.ndim != 4 or tuple(volume.shape) != (channels, *shape[1:])):
            msg = f"{name} has shape {tuple(volume.shape)}, not ({channels}, X, Y, Z) of the fixed grid; resample it"
            raise InputError(msg)
    if len(sources.fixed.slice_headers) != shape[3]:
        told = len(sources.fixed.slice_headers)
        msg = f"the volume has {shape[3]} slices and its headers tell of {told}; read it again"
        raise InputError(msg)
    return sources.fixed


def _uids(
    volumes: DicomVolumes, sources: DicomSources, description: DicomDescription, options: DicomWriteOptions
) -> Uids:
    """Make UIDs at random, or out of everything that the bytes written depend on."""
    if not options.deterministic:
        return Uids.random()
    return Uids.of(_ingredients(volumes, sources, description, options))


def _ingredients(
    volumes: DicomVolumes, sources: DicomSources, description: DicomDescription, options: DicomWriteOptions
) -> Iterator[bytes]:
    for source in (sources.fixed, sources.moving):
        for header in () if source is None else source.headers:
            yield f"{header.get('StudyInstanceUID')} {header.get('SeriesInstanceUID')}".encode()
            yield str(header.get("SOPInstanceUID")).encode()
        yield b"" if source is None else repr((source.slice_headers, source.slice_frames)).encode()
    yield repr((description, options, volumes.fixed_window, volumes.moving_window)).encode()
    yield np.ascontiguousarray(sources.fixed_to_moving_ras, dtype="<f8").tobytes()
    named = {"fused": volumes.fused, "color": volumes.color, "moving": volumes.moving_registered}
    for name, volume in (*named.items(), *sorted(volumes.maps.items())):
        yield name.encode()
        if volume is not None:
            yield np.asarray(volume.affine.detach().cpu().numpy(), dtype="<f8").tobytes()
            array = np.ascontiguousarray(volume.detach().as_tensor().cpu().numpy())
            yield f"{array.dtype} {array.shape}".encode()
            yield hashlib.sha256(array.data).digest()
