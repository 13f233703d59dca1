"""The inbox holds each instance once, as a whole, in a place that no sender chooses."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from made_instances import make_instance, series_uid, study_uid
from pydicom.dataset import Dataset

from medfuse.errors import OutputError, UnreadableFileError
from medfuse.listener.inbox import Inbox


def encoded(instance: Dataset) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def keep(inbox: Inbox, instance: Dataset) -> str:
    return inbox.keep(encoded(instance), str(instance.SOPInstanceUID))


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_instance_is_kept_byte_for_byte(inbox: Inbox) -> None:
    content = encoded(make_instance(1, 1, 1))
    uid = f"{series_uid(1, 1)}.1"
    assert inbox.keep(content, uid) == "new"
    assert inbox.studies() == [study_uid(1)]
    instances = inbox.instances(study_uid(1))
    assert list(instances) == [f"{series_uid(1, 1)}/{uid}"]
    assert instances[f"{series_uid(1, 1)}/{uid}"].read_bytes() == content


def test_the_same_instance_twice_is_kept_once(inbox: Inbox) -> None:
    assert keep(inbox, make_instance(1, 1, 1)) == "new"
    assert keep(inbox, make_instance(1, 1, 1)) == "duplicate"
    assert len(inbox.instances(study_uid(1))) == 1
    assert not (inbox.study(study_uid(1)) / "notes.txt").exists()


@pytest.mark.parametrize("changes", [{"InstanceNumber": 7}, {"SeriesInstanceUID": series_uid(1, 2)}])
def test_other_contents_under_the_same_uid_are_noted_and_the_first_is_kept(
    inbox: Inbox, changes: dict[str, object]
) -> None:
    first = make_instance(1, 1, 1)
    keep(inbox, first)
    assert keep(inbox, make_instance(1, 1, 1, **changes)) == "different"
    (kept,) = inbox.instances(study_uid(1)).values()
    assert kept.read_bytes() == encoded(first)
    assert f"{first.SOPInstanceUID} came again" in (inbox.study(study_uid(1)) / "notes.txt").read_text()


@pytest.mark.filterwarnings("ignore:(Invalid|The) value:UserWarning")
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("uid", ["../../escaped", "", "1.2/..", "1." + 40 * "12", "1.2.x", "/etc/passwd"])
def test_a_uid_that_is_none_is_refused(inbox: Inbox, tmp_path: Path, keyword: str, uid: str) -> None:
    instance = make_instance(1, 1, 1, **{keyword: uid})
    announced = str(instance.SOPInstanceUID)
    with pytest.raises(UnreadableFileError, match="UID"):
        inbox.keep(encoded(instance), announced)
    assert files_below(tmp_path) == ["work/lock"]


def test_an_instance_that_is_not_what_was_announced_is_refused(inbox: Inbox) -> None:
    with pytest.raises(UnreadableFileError, match="another UID than was announced"):
        inbox.keep(encoded(make_instance(1, 1, 1)), "1.2.3")
    assert inbox.studies() == []


@pytest.mark.filterwarnings("ignore:End of file reached:UserWarning")
@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM" + b"\xff" * 64])
def test_what_is_not_dicom_is_refused_and_leaves_nothing(inbox: Inbox, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnreadableFileError):
        inbox.keep(content, "1.2.3")
    assert files_below(tmp_path) == ["work/lock"]


def test_a_folder_that_cannot_be_written_is_told(inbox: Inbox, tmp_path: Path) -> None:
    (tmp_path / "work" / "incoming").rmdir()
    (tmp_path / "work" / "incoming").write_bytes(b"")
    with pytest.raises(OSError, match="Not a directory"):
        keep(inbox, make_instance(1, 1, 1))


def test_a_study_is_quiet_some_time_after_its_last_instance(inbox: Inbox, clock: Any) -> None:
    keep(inbox, make_instance(1, 1, 1))
    clock.seconds += 6
    keep(inbox, make_instance(2, 1, 1))
    keep(inbox, make_instance(1, 1, 1))
    clock.seconds += 6
    keep(inbox, make_instance(2, 1, 2))
    assert inbox.take_quiet(10) == []
    clock.seconds += 5
    assert inbox.take_quiet(10) == [study_uid(1)]
    assert inbox.take_quiet(10) == []
    assert inbox.arriving(study_uid(2))
    clock.seconds += 5
    assert inbox.take_quiet(10) == [study_uid(2)]
    assert not inbox.arriving(study_uid(2))


def test_two_listeners_cannot_have_one_folder(inbox: Inbox, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="in use by another listener"), Inbox(tmp_path / "work").opened():
        pass


def test_half_written_instances_are_cleared_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "0123.dcm").write_bytes(b"half")
    with Inbox(tmp_path).opened() as opened:
        assert keep(opened, make_instance(1, 1, 1)) == "new"
    assert "incoming/0123.dcm" not in files_below(tmp_path)


def test_a_working_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"), Inbox(tmp_path / "file" / "work").opened():
        pass
