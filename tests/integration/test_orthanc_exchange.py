"""A real archive: series go in and come out equal, and what is derived hangs under the study that it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from orthanc import Orthanc
from pydicom.dataset import Dataset

from medfuse.errors import NetworkError
from medfuse.io import dicom_network, dicom_web
from medfuse.io.dicom_archive import SeriesEntry
from medfuse.io.dicom_network import echo

WAYS = ["DICOMweb", "DIMSE"]


def store(orthanc: Orthanc, way: str, files: Sequence[Path]) -> None:
    if way == "DICOMweb":
        dicom_web.store_files(orthanc.web, files)
    else:
        dicom_network.store_files(orthanc.node, files)


def query(orthanc: Orthanc, way: str, study_uid: str) -> list[SeriesEntry]:
    if way == "DICOMweb":
        return dicom_web.query_series(orthanc.web, study_uid)
    return dicom_network.find_series(orthanc.node, study_uid)


def fetch(orthanc: Orthanc, way: str, study_uid: str, folder: Path, series: Sequence[str] = ()) -> list[Path]:
    if way == "DICOMweb":
        return dicom_web.fetch_study(orthanc.web, study_uid, folder, series)
    return dicom_network.retrieve_study(orthanc.node, study_uid, folder, series)


@pytest.fixture(scope="module")
def brainix(shared: Path) -> list[Path]:
    """Return the two MR series of one real study."""
    return sorted((shared / "data" / "dicom" / "brainix").glob("*/*.dcm"))


def pictures(files: Sequence[Path]) -> dict[str, np.ndarray]:
    return {str(one.SOPInstanceUID): one.pixel_array for one in map(pydicom.dcmread, files)}


def geometry(files: Sequence[Path]) -> dict[str, tuple[object, ...]]:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    return {
        str(one.SOPInstanceUID): (one.FrameOfReferenceUID, *one.ImagePositionPatient, *one.ImageOrientationPatient)
        for one in headers
    }


def assert_same_pictures(one: Sequence[Path], other: Sequence[Path]) -> None:
    expected, found = pictures(one), pictures(other)
    assert expected.keys() == found.keys()
    for uid, pixels in expected.items():
        np.testing.assert_array_equal(found[uid], pixels)


@pytest.mark.parametrize("fetched_by", WAYS)
@pytest.mark.parametrize("stored_by", WAYS)
def test_a_study_comes_back_equal(
    orthanc: Orthanc, brainix: list[Path], tmp_path: Path, stored_by: str, fetched_by: str
) -> None:
    store(orthanc, stored_by, brainix)
    study = str(pydicom.dcmread(brainix[0], stop_before_pixels=True).StudyInstanceUID)
    entries = query(orthanc, fetched_by, study)
    assert [(entry.modality, entry.instances) for entry in entries] == [("MR", 22), ("MR", 22)]
    assert {entry.description for entry in entries} == {"sT2W/FLAIR", "T2W/FE-EPI"}
    files = fetch(orthanc, fetched_by, study, tmp_path / "all")
    assert_same_pictures(brainix, files)
    assert geometry(files) == geometry(brainix)
    one = fetch(orthanc, fetched_by, study, tmp_path / "one", [entries[1].uid])
    assert {str(pydicom.dcmread(path).SeriesInstanceUID) for path in one} == {entries[1].uid}
    assert len(one) == 22


def derived(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Write a series made of another one: the negative, under new UIDs, in the same study and frame of reference."""
    folder.mkdir()
    files = []
    for number, path in enumerate(sources, 1):
        one = pydicom.dcmread(path)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        one.SourceImageSequence = [item]
        one.ImageType = ["DERIVED", "SECONDARY"]
        one.SeriesInstanceUID = "2.25.1001"
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"2.25.1001.{number}"
        one.PixelData = (one.pixel_array.max() - one.pixel_array).astype(one.pixel_array.dtype).tobytes()
        files.append(folder / f"{number}.dcm")
        one.save_as(files[-1])
    return files


@pytest.mark.parametrize("way", WAYS)
def test_a_derived_series_hangs_under_the_study_that_it_came_from(
    orthanc: Orthanc, brainix: list[Path], tmp_path: Path, way: str
) -> None:
    flair = [path for path in brainix if path.parent.name == "FLAIR"]
    store(orthanc, way, flair)
    made = derived(flair, tmp_path / "derived")
    store(orthanc, way, made)
    study = str(pydicom.dcmread(flair[0], stop_before_pixels=True).StudyInstanceUID)
    assert [entry.instances for entry in query(orthanc, way, study)] == [22, 22]
    assert "2.25.1001" in {entry.uid for entry in query(orthanc, way, study)}
    back = fetch(orthanc, way, study, tmp_path / "back", ["2.25.1001"])
    assert_same_pictures(made, back)
    frames = {str(pydicom.dcmread(path).FrameOfReferenceUID) for path in [*back, *flair]}
    assert len(frames) == 1


@pytest.mark.parametrize("way", WAYS)
def test_compressed_pictures_come_back_as_they_are(orthanc: Orthanc, shared: Path, tmp_path: Path, way: str) -> None:
    folder = shared / "data" / "hard" / "dicom" / "d2n_compressed_j2k"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and pydicom.misc.is_dicom(path))[:3]
    store(orthanc, way, files)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    back = fetch(orthanc, way, str(headers[0].StudyInstanceUID), tmp_path)
    syntaxes = {one.SOPInstanceUID: one.file_meta.TransferSyntaxUID for one in headers}
    assert {one.SOPInstanceUID: one.file_meta.TransferSyntaxUID for one in map(pydicom.dcmread, back)} == syntaxes


@pytest.mark.parametrize("way", WAYS)
def test_a_study_that_is_not_there(orthanc: Orthanc, tmp_path: Path, way: str) -> None:
    with pytest.raises(NetworkError, match=r"has no study 1\.2\.3"):
        fetch(orthanc, way, "1.2.3", tmp_path)


def test_the_archive_answers(orthanc: Orthanc) -> None:
    echo(orthanc.node)


@pytest.mark.parametrize("way", WAYS)
def test_progress_counts_the_instances(orthanc: Orthanc, brainix: list[Path], tmp_path: Path, way: str) -> None:
    class Heard:
        def __init__(self) -> None:
            self.said: list[tuple[int, int] | str] = []
            self.start: Callable[[str], None] = self.said.append

        def advance(self, done: int, total: int) -> None:
            self.said.append((done, total))

        def finish(self) -> None:
            self.said.append("end")

    heard = Heard()
    store(orthanc, "DICOMweb", brainix[:3])
    study = str(pydicom.dcmread(brainix[0], stop_before_pixels=True).StudyInstanceUID)
    if way == "DICOMweb":
        dicom_web.fetch_study(orthanc.web, study, tmp_path, progress=heard)
    else:
        dicom_network.retrieve_study(orthanc.node, study, tmp_path, progress=heard)
    assert heard.said == ["fetch", (1, 3), (2, 3), (3, 3), "end"]
