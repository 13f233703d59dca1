"""Fetching and storing over DIMSE: addresses, and archives that are away, refuse, or send less than they have."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pynetdicom
import pytest
from made_instances import EXPLICIT, MR, make_instance, series_uid, study_uid, write_instance, write_series, write_study
from pydicom.dataset import Dataset

from medfuse.errors import NetworkError, OptionError, OutputError, UnreadableFileError
from medfuse.io.dicom_network import echo, find_series, retrieve_study, store_files
from medfuse.io.dicom_node import Node, parse_node

# pynetdicom leaves the socket of a connection that fails to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"


@pytest.mark.parametrize(
    ("address", "node"),
    [
        ("ORTHANC@localhost:4242", Node("localhost", 4242, "ORTHANC")),
        ("MY PACS@10.0.0.7:104", Node("10.0.0.7", 104, "MY PACS")),
        ("A@[::1]:11112", Node("::1", 11112, "A")),
        ("A@pacs.example-clinic.org:65535", Node("pacs.example-clinic.org", 65535, "A")),
    ],
)
def test_an_address_names_title_host_and_port(address: str, node: Node) -> None:
    assert parse_node(address) == node
    assert node.own_ae_title == "MEDFUSE"


@pytest.mark.parametrize(
    "address",
    [
        *("", "localhost:4242", "A@localhost", "A@localhost:0", "A@localhost:65536", "A@local host:1", "@localhost:1"),
        *("A@b@localhost:1", "A@localhost:1/x", "A@localhost:1\n", "SEVENTEENLETTERS_@h:1", "A\\B@h:1", "Ä@h:1"),
        *("A\tB@h:1", "   @h:1", "A@$(id):1", "A@-:x"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(OptionError, match=r"no DICOM address|no AE title") as refusal:
        parse_node(address)
    assert len(str(refusal.value).splitlines()) == 1


def test_an_own_title_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="no AE title"):
        parse_node("A@localhost:1", own_ae_title="")


@pytest.mark.parametrize("uid", ["", "1.2.*", "1.2\\1.3", "../x", "1" * 65])
def test_what_is_no_uid_is_refused_before_anyone_is_asked(uid: str, tmp_path: Path) -> None:
    """A star or backslash would be a wildcard, or a list, in a query."""
    node = Node("localhost", 1, "A")
    with pytest.raises(OptionError, match="study UID"):
        find_series(node, uid)
    with pytest.raises(OptionError, match="study UID"):
        retrieve_study(node, uid, tmp_path)


def test_an_archive_that_is_away(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        node = Node("127.0.0.1", taken.getsockname()[1], "PACS", seconds=2.0)
        for request in (
            lambda: echo(node),
            lambda: find_series(node, "1.2.3"),
            lambda: store_files(node, write_series(tmp_path, 1, 1, slices=1)),
        ):
            with pytest.raises(NetworkError, match=r"PACS@127\.0\.0\.1:\d+ cannot be reached or breaks off; check"):
                request()


class Archive:
    """An archive of few virtues: what it lists, what it sends, and how it answers are chosen by a test."""

    def __init__(self) -> None:
        self.listed: list[Dataset] = []
        self.sent: list[Dataset] = []
        self.unsent = 0
        self.status = 0x0000
        self.stored: list[Dataset] = []

    def handlers(self) -> list[tuple[Any, Callable[..., Any]]]:
        events = pynetdicom.evt
        return [(events.EVT_C_FIND, self._find), (events.EVT_C_GET, self._get), (events.EVT_C_STORE, self._store)]

    def lists(self, series: int, count: int, modality: str = "MR") -> None:
        entry = Dataset()
        entry.SeriesInstanceUID, entry.Modality = series_uid(1, series), modality
        entry.NumberOfSeriesRelatedInstances = count
        self.listed.append(entry)

    def _find(self, _event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if self.status:
            yield self.status, None
            return
        for entry in self.listed:
            yield 0xFF00, entry

    def _get(self, event: Any) -> Iterator[Any]:
        wanted = [item for item in self.sent if item.SeriesInstanceUID == event.identifier.SeriesInstanceUID]
        yield len(wanted) + self.unsent
        for item in wanted:
            yield 0xFF00, item
        for number in range(self.unsent):
            yield 0xFF00, make_instance(1, 1, 90 + number, SOPClassUID="1.2.840.10008.5.1.4.1.1.66")

    def _store(self, event: Any) -> int:
        self.stored.append(event.dataset)
        return self.status if len(self.stored) == 2 else 0


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def node(archive: Archive) -> Iterator[Node]:
    entity = pynetdicom.AE(ae_title="PACS")
    for syntax in (FIND, GET, MR):
        entity.add_supported_context(syntax, EXPLICIT, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=archive.handlers())
    yield Node("127.0.0.1", server.server_address[1], "PACS", seconds=3.0)
    server.shutdown()


def test_series_come_under_names_that_count_up(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.lists(1, 3)
    archive.lists(2, 1, "SR")
    archive.sent = [make_instance(1, 1, number) for number in (1, 2, 3)]
    files = retrieve_study(node, study_uid(1), tmp_path / "new" / "folder")
    assert [path.name for path in files] == ["000001.dcm", "000002.dcm", "000003.dcm"]
    assert [pydicom.dcmread(path).pixel_array.tolist() for path in files] == [
        item.pixel_array.tolist() for item in archive.sent
    ]


def test_a_series_of_which_a_part_is_missing_is_refused(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.lists(1, 5)
    archive.sent = [make_instance(1, 1, number) for number in (1, 2, 3)]
    with pytest.raises(NetworkError, match=rf"sent 3 of 5 instances of series {series_uid(1, 1)}"):
        retrieve_study(node, study_uid(1), tmp_path)


def test_instances_that_the_archive_failed_to_send_are_noticed(archive: Archive, node: Node, tmp_path: Path) -> None:
    """It does not say how many there are, and two are of a kind that was not asked for."""
    archive.lists(1, 0)
    archive.sent = [make_instance(1, 1, number) for number in (1, 2, 3)]
    archive.unsent = 2
    with pytest.raises(NetworkError, match="sent 3 of 5 instances"):
        retrieve_study(node, study_uid(1), tmp_path)


def test_nothing_at_all_is_refused(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.lists(1, 2)
    with pytest.raises(NetworkError, match="sent nothing of study"):
        retrieve_study(node, study_uid(1), tmp_path)


def test_a_study_that_is_not_there(node: Node) -> None:
    with pytest.raises(NetworkError, match=r"has no study 1\.2\.3; check the study UID"):
        find_series(node, "1.2.3")


def test_a_study_without_anything_to_fuse(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.lists(1, 5, "US")
    with pytest.raises(NetworkError, match="no series of MR, CT, PT, NM"):
        retrieve_study(node, study_uid(1), tmp_path)


def test_a_series_that_is_not_there_is_refused_with_those_that_are(
    archive: Archive, node: Node, tmp_path: Path
) -> None:
    archive.lists(1, 5)
    with pytest.raises(OptionError, match=rf"has no series 1\.2\.3; choose one of {series_uid(1, 1)}"):
        retrieve_study(node, study_uid(1), tmp_path, ["1.2.3"])


def test_a_query_that_is_refused(archive: Archive, node: Node) -> None:
    archive.status = 0xA700
    with pytest.raises(NetworkError, match="refuses a C-FIND with status 0xA700"):
        find_series(node, study_uid(1))


def test_a_folder_that_cannot_be_written(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.lists(1, 1)
    archive.sent = [make_instance(1, 1, 1)]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="was not written"):
        retrieve_study(node, study_uid(1), tmp_path / "file")


def test_all_are_stored_but_the_one_that_is_refused(archive: Archive, node: Node, tmp_path: Path) -> None:
    archive.status = 0xA900
    with pytest.raises(NetworkError, match=r"did not store 1 of 8 objects \(first reason: 0xA900\)"):
        store_files(node, write_study(tmp_path, 1))
    assert len(archive.stored) == 8


def test_an_object_of_a_kind_that_is_not_taken(archive: Archive, node: Node, tmp_path: Path) -> None:
    files = write_series(tmp_path, 1, 1)
    strange = make_instance(1, 2, 1, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    strange.file_meta.MediaStorageSOPClassUID = strange.SOPClassUID
    files.append(write_instance(tmp_path / "strange.dcm", strange))
    with pytest.raises(NetworkError, match=r"did not store 1 of 5 objects .*takes no objects of this kind"):
        store_files(node, files)
    assert len(archive.stored) == 4


def test_a_warning_is_no_refusal(
    archive: Archive, node: Node, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive.status = 0xB000
    store_files(node, write_series(tmp_path, 1, 1))
    assert "with the warning 0xB000" in caplog.text


def test_what_is_not_dicom_is_not_sent(archive: Archive, node: Node, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(UnreadableFileError, match=r"text\.dcm is not a readable DICOM file"):
        store_files(node, [*write_series(tmp_path, 1, 1), tmp_path / "text.dcm"])
    assert archive.stored == []


def test_nothing_to_store_asks_nobody() -> None:
    store_files(Node("127.0.0.1", 1, "NOBODY"), [])
