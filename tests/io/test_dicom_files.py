"""DICOM files are found by content, and no name in a zip, a DICOMDIR or a folder leads anywhere else."""

from __future__ import annotations

import io
import os
import stat
import time
import tracemalloc
import zipfile
from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import MediaStorageDirectoryStorage

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io import dicom_files, dicom_zip
from medfuse.io.dicom_files import find_dicom_files, looks_like_dicom, search
from medfuse.io.dicom_series import list_series

STORED = np.random.default_rng(3).integers(0, 900, (7, 6, 5)).astype(np.int16)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make.save(make.series(STORED, "CT"), tmp_path / "study" / "series")


def zipped(path: Path, folder: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"deep/{file.name}")
    return path


def refused(path: Path, workspace: Path, *words: str, error: type[Exception] = InputError) -> None:
    with pytest.raises(error) as caught:
        find_dicom_files(path, workspace)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_folder_is_searched_by_content(folder, workspace):
    (folder / "notes.dcm").write_text("not DICOM, though it says so")
    (folder / "empty").touch()
    (folder / "inner.zip").write_bytes(b"PK\x03\x04rest")
    found = search(folder.parent, workspace)
    assert list(found.files) == sorted(folder.glob("IM*"))
    assert {(one.name, one.count) for one in found.skipped} == {("2 files", 2), ("inner.zip", 1)}


def test_a_single_file(folder, workspace):
    assert find_dicom_files(folder / "IM00000", workspace) == [folder / "IM00000"]


def test_what_is_not_there_or_holds_nothing(tmp_path, workspace):
    refused(tmp_path / "none", workspace, "does not exist", error=UnreadableFileError)
    refused(workspace, workspace, "holds no DICOM")
    (tmp_path / "x.txt").write_text("text")
    refused(tmp_path / "x.txt", workspace, "no DICOM file", error=UnreadableFileError)


def test_links_that_lead_out_of_the_folder_are_not_followed(folder, workspace, tmp_path):
    outside = make.save(make.series(STORED, "MR"), tmp_path / "outside")
    (folder / "link").symlink_to(outside / "IM00000")
    (folder / "all").symlink_to(outside, target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "nowhere").symlink_to(folder / "gone")
    (folder / "inside").symlink_to(folder / "IM00001")
    found = search(folder, workspace)
    assert {path.name for path in found.files} == {f"IM{n:05d}" for n in range(5)} | {"inside"}
    assert ("2 files", "is a symbolic link that leads elsewhere") in {(one.name, one.reason) for one in found.skipped}


def test_pipes_are_not_opened(folder, workspace):
    os.mkfifo(folder / "pipe")
    assert len(find_dicom_files(folder, workspace)) == 5


def test_files_without_preamble_are_seen_and_text_is_not(folder):
    content = (folder / "IM00000").read_bytes()
    assert looks_like_dicom(content[:512])
    assert looks_like_dicom(content[132:644])  # begins with its meta information
    assert looks_like_dicom(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100")
    assert looks_like_dicom(b"\x08\x00\x00\x00\x04\x00\x00\x00\x10\x01\x00\x00")
    assert looks_like_dicom(b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100")
    for text in (b"", b"short", b"BM\x08\x00plain text in a file", b"\x89PNG\r\n\x1a\n" + bytes(50), bytes(600)):
        assert not looks_like_dicom(text)


def test_a_zip_is_unpacked_into_the_workspace_under_names_of_our_own(folder, workspace, tmp_path):
    path = zipped(tmp_path / "study.zip", folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("readme.txt", "hello")
    found = search(path, workspace)
    assert len(found.files) == 5
    assert all(file.is_relative_to(workspace) and file.suffix == ".dcm" for file in found.files)
    assert sorted(file.read_bytes() for file in found.files) == sorted(p.read_bytes() for p in folder.iterdir())
    assert [one.reason for one in found.skipped] == ["is no DICOM file"]
    assert len(find_dicom_files(path, workspace)) == 5  # again, beside the first


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/evil.dcm", "..\\evil.dcm", "C:\\evil.dcm"])
def test_a_zip_whose_names_lead_outside_is_refused(folder, workspace, tmp_path, name):
    path = zipped(tmp_path / "study.zip", folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), (folder / "IM00000").read_bytes())
    refused(path, workspace, "leads out of it")
    assert list(workspace.iterdir()) == []
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_in_a_zip_is_refused(folder, workspace, tmp_path):
    path = zipped(tmp_path / "study.zip", folder)
    link = zipfile.ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, workspace, "link.dcm")


def bomb(path: Path, folder: Path, megabytes: int) -> Path:
    start = (folder / "IM00000").read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.dcm", "w") as member:
        member.write(start)
        for _ in range(megabytes):
            member.write(bytes(2**20))
    return path


def test_zip_bombs_are_refused_before_and_while_unpacking(folder, workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_zip, "HARMLESS_BYTES", 2**20)
    path = bomb(tmp_path / "bomb.zip", folder, 8)
    refused(path, workspace, "unpacks to more")
    assert list(workspace.iterdir()) == []
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (info,) = archive.infolist()
    lie = content.replace(info.file_size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(lie)
    refused(path, workspace)
    assert sum(file.stat().st_size for file in workspace.rglob("*") if file.is_file()) <= 2**22


def test_too_many_members_or_files_are_refused(folder, workspace, tmp_path, monkeypatch):
    path = zipped(tmp_path / "study.zip", folder)
    monkeypatch.setattr(dicom_zip, "MOST_MEMBERS", 4)
    refused(path, workspace, "more than 4")
    monkeypatch.setattr(dicom_files, "MOST_FILES", 4)
    refused(folder, workspace, "more than 4")


@pytest.mark.parametrize("damage", ["cut", "encrypted", "garbled"])
def test_damaged_zips_are_refused(folder, workspace, tmp_path, damage):
    path = zipped(tmp_path / "study.zip", folder)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "garbled":
        content[60:400] = os.urandom(340)
    else:
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.find(mark) + at] |= 1
    path.write_bytes(content)
    refused(path, workspace, "study.zip", error=UnreadableFileError)


def dicomdir(folder: Path, *references: str) -> Path:
    """Write a DICOMDIR that names files, whatever is in the names."""
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = make.uid("directory")
    directory.FileSetID = ""
    patient = make.item(DirectoryRecordType="PATIENT")
    images = [
        make.item(
            DirectoryRecordType="IMAGE", ReferencedFileID=reference.split("\\"), ReferencedSOPInstanceUIDInFile="1"
        )
        for reference in references
    ]
    directory.DirectoryRecordSequence = [patient, *images]
    return make.save_one(directory, folder / "DICOMDIR")


def test_a_dicomdir_leads_to_its_files(folder, workspace):
    (folder / "low").mkdir()
    (folder / "IM00000").rename(folder / "low" / "im0")
    path = dicomdir(folder, "IM00001", "LOW\\IM0", "IM00002", "IM00002", "GONE")
    found = search(path, workspace)
    assert [file.name for file in found.files] == ["IM00001", "im0", "IM00002"]
    assert [(one.count, one.reason) for one in found.skipped] == [(1, "is named in the DICOMDIR and missing")]
    assert [series.slices for series in list_series(path, workspace).series] == [3]
    assert [series.slices for series in list_series(folder, workspace).series] == [5]


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS", "ignore:The value length")
@pytest.mark.parametrize("reference", ["..\\outside", "a\\..\\..\\x", "/etc/passwd", "a\\/etc/passwd", ".\\x"])
def test_a_dicomdir_that_leads_out_of_its_folder_is_refused(folder, workspace, tmp_path, reference):
    make.save(make.series(STORED), tmp_path / "study" / "outside")
    refused(dicomdir(folder, "IM00001", reference), workspace, "leads out of its folder")


def test_a_dicomdir_through_a_link_is_refused(folder, workspace, tmp_path):
    outside = make.save(make.series(STORED), tmp_path / "outside")
    (folder / "LINK").symlink_to(outside / "IM00001")
    refused(dicomdir(folder, "LINK"), workspace, "leads out of its folder")


def test_many_small_files_cost_little_and_are_one_line(folder, workspace):
    """20,000 of the 100,000 that are allowed to take a minute."""
    for number in range(20_000):
        (folder / f"{number}.txt").write_bytes(b"text")
    tracemalloc.start()
    start = time.perf_counter()
    found = search(folder, workspace)
    seconds, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.files) == 5
    assert [(one.name, one.reason) for one in found.skipped] == [("20000 files", "is no DICOM file")]
    assert seconds < 30
    assert peak < 64 * 2**20


def test_progress_is_told(folder, workspace):
    told = io.StringIO()

    class Listener:
        def start(self, step: str) -> None:
            told.write(step)

        def advance(self, done: int, total: int) -> None:
            told.write(f" {done}/{total}")

        def finish(self) -> None:
            told.write(";")

    list_series(folder, workspace, Listener())
    assert told.getvalue() == "find;list 1/5 2/5 3/5 4/5 5/5;"
