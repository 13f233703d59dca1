"""Which path is DICOM, and which two series of a study are meant."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from medfuse.errors import InputError, OptionError
from medfuse.io.dicom_input import choose_pair, is_dicom, read_dicom_pair
from medfuse.io.dicom_original import OriginalSeries, write_original_series
from medfuse.io.dicom_series import Catalog, list_series
from medfuse.phantom import Phantom

VOLUMES = ("MR_T1", "MR_T2", "CT", "PT")


@pytest.fixture(scope="module")
def study(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    for number, name in enumerate(VOLUMES, 1):
        (folder / name).mkdir()
        series = OriginalSeries("study", name, name, number)
        write_original_series(phantom_small.volumes[name], folder / name, series)
    return folder


@pytest.fixture(scope="module")
def catalog(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return list_series(study, tmp_path_factory.mktemp("workspace"))


def only(catalog: Catalog, *names: str) -> Catalog:
    return replace(catalog, series=tuple(one for one in catalog.series if one.description in names))


@pytest.mark.parametrize(
    ("there", "fixed", "moving", "chosen"),
    [
        (("MR_T1", "CT"), None, None, ("MR_T1", "CT")),
        (("MR_T1", "MR_T2"), "2", None, ("MR_T2", "MR_T1")),
        (("CT", "PT"), "CT", None, ("CT", "PT")),
        (("MR_T1", "CT", "PT"), None, "PT", ("MR_T1", "PT")),
        (("MR_T1", "MR_T2", "CT"), "1", None, ("MR_T1", "CT")),
        (VOLUMES, "MR_T2's UID", "CT", ("MR_T2", "CT")),
        (VOLUMES, "CT", "pet", ("CT", "PT")),
    ],
)
def test_the_pair_that_is_meant(
    catalog: Catalog, there: tuple[str, ...], fixed: str | None, moving: str | None, chosen: tuple[str, str]
) -> None:
    if fixed == "MR_T2's UID":
        fixed = only(catalog, "MR_T2").series[0].series_uid
    pair = choose_pair(only(catalog, *there), fixed, moving)
    assert tuple(series.description for series in pair) == chosen


@pytest.mark.parametrize(
    ("there", "fixed", "moving"),
    [
        (VOLUMES, None, None),
        (("MR_T1", "CT", "PT"), None, None),
        (("MR_T1", "MR_T2", "CT"), None, None),
        (VOLUMES, "MR", "CT"),
        (VOLUMES, "7", "CT"),
        (VOLUMES, "1", "1"),
    ],
)
def test_what_is_not_clear_is_asked(
    catalog: Catalog, there: tuple[str, ...], fixed: str | None, moving: str | None
) -> None:
    with pytest.raises(OptionError):
        choose_pair(only(catalog, *there), fixed, moving)


def test_one_series_makes_no_pair(catalog: Catalog) -> None:
    with pytest.raises(InputError, match="no series can be the moving volume"):
        choose_pair(only(catalog, "CT"), None, None)


def test_a_zip_of_a_study_is_as_good_as_its_folder(study: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in study.rglob("*.dcm"):
            packed.write(path, path.relative_to(study))
    for unpacked, zipped in zip(read_dicom_pair(study, "CT", "PT"), read_dicom_pair(archive, "CT", "PT"), strict=True):
        assert (unpacked.as_tensor() == zipped.as_tensor()).all()


def test_dicom_is_known_by_its_content(study: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes((study / "CT" / "0001.dcm").read_bytes())
    text = tmp_path / "notes.txt"
    text.write_text("nothing to see")
    assert is_dicom(study)
    assert is_dicom(plain)
    assert is_dicom(tmp_path / "any.zip")
    assert not is_dicom(text)
    assert not is_dicom(tmp_path / "missing")
    assert not is_dicom(tmp_path / "volume.nii.gz")
