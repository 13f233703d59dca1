"""Step 1 of 8, read: a DICOM series becomes a volume in real units, on a regular grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from medfuse.errors import InputError, IntensityError
from medfuse.io.checks import check_values, shown, spatial_shape
from medfuse.io.dicom_frames import Frame, group_item
from medfuse.io.dicom_geometry import Grid, plan_grid
from medfuse.io.dicom_headers import read_header, text_of
from medfuse.io.dicom_pixels import real_frames
from medfuse.io.dicom_resample import onto_grid
from medfuse.io.dicom_series import DicomSeries
from medfuse.io.dicom_source import DicomSource
from medfuse.io.dicom_suv import scan_order, suv_factor
from medfuse.progress import Progress, Silent, showing

AIR_HU = -1024.0
STORED_VALUES, HOUNSFIELD, SUV = "stored values", "HU", "SUV"

_STEP = "read"
_HOUNSFIELD_TYPES = ("", "HU", "HU_MOD")

Array = npt.NDArray[np.float32]


def read_dicom_series(series: DicomSeries, progress: Progress | None = None) -> MetaTensor:
    """Read a usable series of a catalog.

    Args:
        series: from ``medfuse.io.dicom_series.list_series``, while its files are there.
        progress: told how many files were decoded.

    Returns:
        (1, X, Y, Z) float32 in real units: HU for CT, SUVbw for PET whose header allows it, else rescaled stored
        values. ``affine`` is float64 in RAS mm with axes at right angles; the third points along the normal of the
        slices. ``meta`` holds ``modality``, ``units``, ``dicom`` (where it came from), ``frame_of_reference_uid``,
        ``notes`` (what the user should know), ``space`` and a harmless ``filename_or_obj``.

    Raises:
        UnreadableFileError: if pixels are missing, truncated or damaged.
        MissingExtraError: if their compression needs a decoder that is not installed.
        GeometryError: if the slices form no volume.
        IntensityError: if the values are not finite, or all equal.
        InputError: if the series is not usable, or too large.
    """
    name = f"{series.modality} series {series.series_number if series.series_number is not None else series.number}"
    if series.verdict:
        msg = f"{series.name} cannot be used: {series.verdict}"
        raise InputError(msg)
    columns, rows = series.matrix
    grid = plan_grid(series.frames, rows, columns, name)
    spatial_shape(grid.shape, name)
    frames = [series.frames[index] for index in grid.order]
    try:
        headers, values, padded = _read_frames(frames, (columns, rows), series.modality, progress or Silent())
        if padded == values.size:
            msg = f"{name} is all padding; it carries no picture, choose another series"
            raise IntensityError(msg)
        units, notes = _to_units(values, headers, frames, series.modality)
        notes += _fill(values, padded, units)
        values = onto_grid(values, grid, AIR_HU if units == HOUNSFIELD else float(values.min()))
    except MemoryError as error:
        msg = f"{name} needs more memory than is free; crop it, or choose another series"
        raise InputError(msg) from error
    check_values(values, name)
    meta = {
        "filename_or_obj": name,
        "modality": series.modality,
        "units": units,
        "dicom": _source(headers, frames, grid),
        "frame_of_reference_uid": series.frame_of_reference_uid,
        "notes": [*series.notes, *notes],
        "space": "RAS",
    }
    return MetaTensor(torch.from_numpy(values).unsqueeze(0), affine=torch.from_numpy(grid.affine_ras), meta=meta)


def _read_frames(
    frames: Sequence[Frame], size: tuple[int, int], modality: str, progress: Progress
) -> tuple[dict[Path, Dataset], Array, int]:
    """Decode the frames file by file.

    Returns:
        The headers by file, in the order of the frames; the real values (X, Y, N), NaN where padded; and the number
        of those.
    """
    values = np.empty((*size, len(frames)), dtype=np.float32)
    places: dict[Path, dict[int, int]] = defaultdict(dict)
    for index, frame in enumerate(frames):
        places[frame.path][frame.number] = index
    headers: dict[Path, Dataset] = {}
    padded = 0
    with showing(progress, _STEP):
        for path, wanted in places.items():
            headers[path] = read_header(path)
            for number, pixels in real_frames(path, headers[path], list(wanted), modality):
                if pixels.shape != size:
                    msg = f"{shown(path.name)} changed while it was read; try again"
                    raise InputError(msg)
                values[:, :, wanted[number]] = pixels
                padded += int(np.count_nonzero(np.isnan(pixels)))
            progress.advance(len(headers), len(places))
    return headers, values, padded


def _to_units(
    values: Array, headers: dict[Path, Dataset], frames: Sequence[Frame], modality: str
) -> tuple[str, list[str]]:
    """Bring values to the units that the modality has, in place; say what they are and what was done."""
    header, number = headers[frames[0].path], frames[0].number
    notes: list[str] = []
    if modality == "PT":
        try:
            values *= np.float32(suv_factor(min(headers.values(), key=scan_order)))
        except InputError as error:
            return STORED_VALUES, [str(error)]
        return SUV, notes
    inverted = text_of(header, "PhotometricInterpretation") == "MONOCHROME1"
    if modality == "CT":
        if inverted:
            notes.append("MONOCHROME1 says how to show the values, which are HU all the same: they are not inverted")
        scaled = group_item(header, number, "PixelValueTransformationSequence") if number else header
        kind = text_of(scaled, "RescaleType").upper()
        if kind in _HOUNSFIELD_TYPES:
            return HOUNSFIELD, notes
        return STORED_VALUES, [*notes, f"RescaleType is {shown(kind[:16])}: the values are not HU"]
    if inverted:
        values *= -1
        values += -(np.nanmin(values) + np.nanmax(values))
        notes.append("MONOCHROME1: low values are meant to be bright, so the values are inverted")
    return STORED_VALUES, notes


def _fill(values: Array, padded: int, units: str) -> list[str]:
    """Give padding, and what lies below air, a value that means nothing is there; in place."""
    empty = AIR_HU if units == HOUNSFIELD else float(np.nanmin(values))
    if padded:
        np.copyto(values, np.float32(empty), where=np.isnan(values))
    notes = [f"{padded} padded voxels are set to {empty:g}"] if padded else []
    if units == HOUNSFIELD and (below := int(np.count_nonzero(values < AIR_HU))):
        np.maximum(values, np.float32(AIR_HU), out=values)
        notes.append(f"{below} voxels below {AIR_HU:g} HU, outside what the scanner sees, are set to that")
    return notes


def _source(headers: dict[Path, Dataset], frames: Sequence[Frame], grid: Grid) -> DicomSource:
    """Note which header and frame each slice of the grid comes from."""
    index_of = {path: index for index, path in enumerate(headers)}
    slices = grid.slices
    return DicomSource(
        headers=tuple(headers.values()),
        slice_headers=tuple(-1 if at < 0 else index_of[frames[at].path] for at in slices),
        slice_frames=tuple(0 if at < 0 else frames[at].number for at in slices),
    )
