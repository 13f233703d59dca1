"""Step 1 of 8, read: volumes out of DICOM, wherever the series lie and however they are named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai.data import MetaTensor

from medfuse.io.dicom_files import looks_like_dicom, start_of
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import Catalog, DicomSeries, choose_series, list_series
from medfuse.io.volume_files import READABLE
from medfuse.progress import Progress

_ZIP = ".zip"
_FIXED, _MOVING = "fixed", "moving"
_FIRST = "MR"  # of two series that nothing else tells apart, it is the fixed one


def is_dicom(path: Path) -> bool:
    """Tell whether a path is to be read as DICOM: a folder, a zip, a DICOMDIR, or a DICOM file by its content."""
    if path.is_dir() or path.name.lower().endswith(_ZIP):
        return True
    return not path.name.lower().endswith(READABLE) and path.is_file() and looks_like_dicom(start_of(path))


def read_dicom_volume(path: Path, wanted: str | None, role: str, progress: Progress | None = None) -> MetaTensor:
    """Read one series.

    Args:
        path: a folder, zip, DICOMDIR or file.
        wanted: a SeriesInstanceUID, a number of ``medfuse series``, or a modality; None for the only usable one.
        role: ``"fixed"`` or ``"moving"``, for messages.
        progress: told how far the reading is.

    Returns:
        See ``read_dicom_series``.

    Raises:
        InputError: if nothing there can be used.
        OptionError: if it is not clear which series is meant.
    """
    with _catalog(path, progress) as catalog:
        return read_dicom_series(choose_series(catalog, wanted, role))


def read_dicom_pair(
    path: Path, fixed: str | None, moving: str | None, progress: Progress | None = None
) -> tuple[MetaTensor, MetaTensor]:
    """Read two series of one place, such as a folder with a whole study.

    Where it is not said which, the fixed series is the only one of MR, and the moving one the only one of another
    modality; of two series in all, the other one.

    Args:
        path: a folder, zip or DICOMDIR.
        fixed: which series is fixed; see ``read_dicom_volume``.
        moving: which one is moving.
        progress: told how far the reading is.

    Raises:
        InputError: if nothing there can be used.
        OptionError: if it is not clear which series are meant, or both are the same.
    """
    with _catalog(path, progress) as catalog:
        chosen = choose_pair(catalog, fixed, moving)
        return read_dicom_series(chosen[0]), read_dicom_series(chosen[1])


def choose_pair(catalog: Catalog, fixed: str | None, moving: str | None) -> tuple[DicomSeries, DicomSeries]:
    """Choose the fixed and the moving series of a catalog; arguments as ``read_dicom_pair``."""
    if fixed is None and moving is not None:
        other = choose_series(catalog, moving, _MOVING)
        return choose_series(_without(catalog, other, _FIRST), None, _FIXED), other
    first = choose_series(catalog if fixed is not None else _of_modality(catalog), fixed, _FIXED)
    if moving is None:
        return first, choose_series(_without(catalog, first, None), None, _MOVING)
    return first, choose_series(_except(catalog, first), moving, _MOVING)


def _of_modality(catalog: Catalog) -> Catalog:
    """Leave the series of MR if there is a usable one."""
    magnetic = tuple(series for series in catalog.series if series.modality == _FIRST and not series.verdict)
    return Catalog(magnetic, catalog.skipped) if magnetic else catalog


def _except(catalog: Catalog, chosen: DicomSeries) -> Catalog:
    return Catalog(tuple(series for series in catalog.series if series != chosen), catalog.skipped)


def _without(catalog: Catalog, chosen: DicomSeries, wanted: str | None) -> Catalog:
    """Leave what can go with a series: those of a wanted or another modality if there are any, else all others."""
    rest = _except(catalog, chosen)
    fitting = tuple(
        series
        for series in rest.series
        if not series.verdict and (series.modality == wanted if wanted else series.modality != chosen.modality)
    )
    return Catalog(fitting, catalog.skipped) if fitting else rest


@contextmanager
def _catalog(path: Path, progress: Progress | None) -> Iterator[Catalog]:
    """List the series of a place, for as long as what a zip was unpacked to is kept."""
    with tempfile.TemporaryDirectory(prefix="medfuse-") as workspace:
        yield list_series(path, Path(workspace), progress)
