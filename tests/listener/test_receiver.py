"""The door takes what it is sent, from whom it may, and says success only when the instance is safe."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pydicom
import pynetdicom
import pytest
from made_certificates import Certificates, make_certificates
from made_instances import EXPLICIT, MR, make_instance, study_uid, write_series, write_study
from pydicom.uid import RLELossless

from medfuse.errors import NetworkError, OptionError
from medfuse.io.dicom_network import echo, store_files
from medfuse.io.dicom_node import Node
from medfuse.io.dicom_tls import TlsFiles
from medfuse.listener import inbox as inbox_module
from medfuse.listener.inbox import Inbox
from medfuse.listener.receiver import Receiver

# pynetdicom leaves the socket of a connection that fails to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

OpenDoor = Callable[..., Node]


@pytest.fixture
def open_door(inbox: Inbox) -> Iterator[OpenDoor]:
    """Return what opens a door to the inbox and tells where it is."""
    with ExitStack() as doors:

        def opened(**options: object) -> Node:
            receiver = doors.enter_context(Receiver(inbox, "MEDFUSE", **options))  # type: ignore[arg-type]
            host, port = receiver.address
            return Node(host, port, "MEDFUSE", "SCANNER", seconds=5.0)

        yield opened


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_instances_arrive_as_they_were_sent(inbox: Inbox, open_door: OpenDoor, tmp_path: Path) -> None:
    sent = write_study(tmp_path / "sent", 1)
    node = open_door()
    echo(node)
    store_files(node, sent)
    kept = inbox.instances(study_uid(1))
    assert len(kept) == 8
    for path in sent:
        original = pydicom.dcmread(path)
        copy = pydicom.dcmread(kept[f"{original.SeriesInstanceUID}/{original.SOPInstanceUID}"])
        assert copy == original
        assert copy.file_meta.TransferSyntaxUID == EXPLICIT


def test_compressed_pictures_stay_compressed(inbox: Inbox, open_door: OpenDoor, tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "sent", 1, 1, slices=1)
    compressed = pydicom.dcmread(path)
    compressed.compress(RLELossless, generate_instance_uid=False)
    compressed.save_as(path)
    store_files(open_door(), [path])
    (kept,) = inbox.instances(study_uid(1)).values()
    copy = pydicom.dcmread(kept)
    assert copy.file_meta.TransferSyntaxUID == RLELossless
    assert copy.PixelData == compressed.PixelData


def test_a_listener_is_on_the_loopback_interface_unless_told(open_door: OpenDoor) -> None:
    assert open_door().host == "127.0.0.1"


def test_only_those_on_the_list_may_send(inbox: Inbox, open_door: OpenDoor, tmp_path: Path) -> None:
    sent = write_series(tmp_path / "sent", 1, 1)
    node = open_door(allowed=["SCANNER", "OTHER"])
    with pytest.raises(NetworkError, match="refuses us; ask its keeper to allow STRANGER"):
        store_files(replace(node, own_ae_title="STRANGER"), sent)
    assert inbox.studies() == []
    store_files(node, sent)
    assert inbox.studies() == [study_uid(1)]


def test_those_who_call_another_name_are_refused(open_door: OpenDoor) -> None:
    with pytest.raises(NetworkError, match="refuses us"):
        echo(replace(open_door(), ae_title="SOMEONE"))


def test_a_name_that_cannot_be_one_is_refused(inbox: Inbox) -> None:
    with pytest.raises(OptionError, match="no AE title"):
        Receiver(inbox, "MEDFUSE", allowed=["A" * 17])


def test_a_port_in_use_is_told(inbox: Inbox, open_door: OpenDoor) -> None:
    port = open_door().port
    with pytest.raises(NetworkError, match=f"cannot listen on 127.0.0.1:{port} .*choose another"):
        Receiver(inbox, "MEDFUSE", port=port).__enter__()


def association(node: Node) -> pynetdicom.association.Association:
    entity = pynetdicom.AE(ae_title=node.own_ae_title)
    entity.add_requested_context(MR, EXPLICIT)
    opened = entity.associate(node.host, node.port, ae_title=node.ae_title)
    assert opened.is_established
    return opened


def test_what_a_sender_sent_before_it_broke_off_is_kept(inbox: Inbox, open_door: OpenDoor) -> None:
    opened = association(open_door())
    for number in (1, 2, 3):
        assert opened.send_c_store(make_instance(1, 1, number)).Status == 0
    opened.abort()
    assert len(inbox.instances(study_uid(1))) == 3
    assert inbox.arriving(study_uid(1))


def test_half_an_instance_is_not_kept(inbox: Inbox, open_door: OpenDoor) -> None:
    """The sender dies in the middle of an instance: its connection closes after a part of the pixels."""
    opened = association(open_door())
    assert opened.send_c_store(make_instance(1, 1, 1)).Status == 0
    opened._reactor_checkpoint.clear()
    request = pynetdicom.dimse_primitives.C_STORE()
    request.MessageID, request.Priority = 2, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MR, "1.2.3.4"
    whole = make_instance(1, 1, 2, pixels=256)
    request.DataSet = pynetdicom.dsutils.BytesIO(pynetdicom.dsutils.encode(whole, False, True))
    message = pynetdicom.dimse_messages.C_STORE_RQ()
    message.primitive_to_message(request)
    wire = opened.dul.socket.socket
    for part in list(message.encode_msg(1, 16382))[:4]:
        data = pynetdicom.pdu.P_DATA_TF()
        data.from_primitive(part)
        wire.sendall(data.encode())
    wire.shutdown(socket.SHUT_RDWR)
    opened.kill()
    wire.close()
    (kept,) = inbox.instances(study_uid(1))
    assert kept.endswith(".1.1.1")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_an_instance_that_cannot_be_written_is_out_of_resources(
    inbox: Inbox,
    open_door: OpenDoor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: OSError,
) -> None:
    def full(_path: Path, _content: bytes) -> None:
        raise error

    opened = association(open_door())
    monkeypatch.setattr(inbox_module, "_write_through", full)
    assert opened.send_c_store(make_instance(1, 1, 1)).Status == 0xA700
    assert error.strerror in caplog.text
    assert inbox.studies() == []
    monkeypatch.undo()
    assert opened.send_c_store(make_instance(1, 1, 1)).Status == 0
    opened.release()


@pytest.mark.filterwarnings("ignore:(Invalid|The) value:UserWarning")
def test_an_instance_without_a_valid_study_is_not_understood(inbox: Inbox, open_door: OpenDoor) -> None:
    opened = association(open_door())
    assert opened.send_c_store(make_instance(1, 1, 1, StudyInstanceUID="../../up")).Status == 0xC000
    opened.release()
    assert inbox.studies() == []


def test_an_encrypted_connection(inbox: Inbox, open_door: OpenDoor, certificates: Certificates, tmp_path: Path) -> None:
    node = open_door(tls=certificates.showing)
    store_files(replace(node, tls=certificates.trusting), write_series(tmp_path / "sent", 1, 1))
    assert len(inbox.instances(study_uid(1))) == 4


def test_who_speaks_plainly_is_not_understood_by_an_encrypted_door(
    inbox: Inbox, open_door: OpenDoor, certificates: Certificates
) -> None:
    node = open_door(tls=certificates.showing)
    with pytest.raises(NetworkError, match="speaks plain DICOM"):
        echo(node)
    echo(replace(node, tls=certificates.trusting))


def test_a_sender_must_show_a_certificate_if_an_authority_is_named(
    open_door: OpenDoor, certificates: Certificates
) -> None:
    node = open_door(tls=certificates.files)
    with pytest.raises(NetworkError, match="cannot be reached or breaks off"):
        echo(replace(node, tls=certificates.trusting))
    echo(replace(node, tls=certificates.files))


def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    open_door: OpenDoor, certificates: Certificates
) -> None:
    node = open_door(tls=certificates.showing)
    with pytest.raises(NetworkError, match="a certificate that the CA file covers"):
        echo(replace(node, tls=TlsFiles()))


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_client_that_says_nothing_keeps_nobody_out(
    open_door: OpenDoor, certificates: Certificates, encrypted: bool
) -> None:
    node = open_door(tls=certificates.showing if encrypted else None)
    with socket.create_connection((node.host, node.port)):
        echo(replace(node, tls=certificates.trusting if encrypted else None))


@pytest.mark.parametrize("missing", ["certificate", "key", "ca"])
def test_a_certificate_that_is_not_there_is_refused(
    inbox: Inbox, certificates: Certificates, tmp_path: Path, missing: str
) -> None:
    files = replace(certificates.files, **{missing: tmp_path / "none.pem"})
    with pytest.raises(OptionError, match=r"none\.pem does not exist"):
        Receiver(inbox, "MEDFUSE", tls=files)


def test_a_key_that_is_none_is_refused(inbox: Inbox, certificates: Certificates) -> None:
    with pytest.raises(OptionError, match="not a certificate with its key"):
        Receiver(inbox, "MEDFUSE", tls=replace(certificates.files, key=certificates.files.ca))
    with pytest.raises(OptionError, match="give both --certificate and --key"):
        Receiver(inbox, "MEDFUSE", tls=TlsFiles(certificate=certificates.files.certificate))
