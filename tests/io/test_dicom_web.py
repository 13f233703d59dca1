"""Fetching and storing over DICOMweb: addresses, credentials, and services that are away or answer nonsense."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from made_certificates import Certificates, make_certificates
from made_instances import make_instance, series_uid, study_uid, write_series

from medfuse.errors import NetworkError, OptionError, OutputError, UnreadableFileError
from medfuse.io.dicom_tls import server_context
from medfuse.io.dicom_web import fetch_study, query_series, store_files
from medfuse.io.dicom_web_access import WebAccess, checked_url

Answer = tuple[int, str, bytes]
JSON = "application/dicom+json"


@dataclass
class Service:
    """A DICOMweb service whose answers are chosen by a test, by the end of the path that is asked for."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def lists(self, count: int) -> None:
        """List one series with some instances."""
        series = {"0020000E": {"Value": [series_uid(1, 1)]}, "00080060": {"Value": ["MR"]}}
        uids = [make_instance(1, 1, number).SOPInstanceUID for number in range(1, count + 1)]
        self.answers[f"{study_uid(1)}/series"] = (200, JSON, json.dumps([series]).encode())
        instances = [{"00080018": {"Value": [uid]}} for uid in uids]
        self.answers["/instances"] = (200, JSON, json.dumps(instances).encode())

    def sends(self, count: int) -> None:
        """Send some instances of that series."""
        body = b""
        for number in range(1, count + 1):
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, make_instance(1, 1, number), enforce_file_format=True)
            body += b"\r\n--cut\r\nContent-Type: application/dicom\r\n\r\n" + buffer.getvalue()
        kind = 'multipart/related; type="application/dicom"; boundary=cut'
        self.answers[f"/series/{series_uid(1, 1)}"] = (200, kind, body + b"\r\n--cut--")


def serving(service: Service) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            service.asked.append((f"{self.command} {path}", dict(self.headers)))
            fitting = [answer for end, answer in service.answers.items() if path.endswith(end)]
            code, kind, body = fitting[0] if fitting else (404, "text/plain", b"")
            if "offset" in query:
                code, body = 204, b""
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    with serving(made) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "url", ["http://localhost:8042/dicom-web", "https://pacs.example.org/a/b", "http://[::1]:80/x"]
)
def test_an_address_is_taken_as_it_is(url: str) -> None:
    assert checked_url(url) == checked_url(f"{url}/") == url


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "localhost:8042",
            "ftp://host/x",
            "file:///etc/passwd",
            "http://",
            "http://host:99999/",
            "http://host:x/",
        ),
        *("http://ho st/", "http://host/\nx", "http://host/?a=1", "http://host/#a", "http://[::1/"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(OptionError, match=r"no address of a DICOMweb service|query or fragment") as refusal:
        query_series(url, "1.2.3")
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["http://me:hush@host/dicom-web", "https://hush@host/", "http://:hush@host/"])
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(OptionError, match="address of host has a user or password in it") as refusal:
        query_series(url, "1.2.3")
    assert "hush" not in str(refusal.value)


def test_credentials_are_not_shown() -> None:
    assert "hush" not in repr(WebAccess(user="me", password="hush", token="hush"))


@pytest.mark.parametrize(
    ("access", "header"),
    [
        (WebAccess(token="t-1"), "Bearer t-1"),
        (WebAccess(user="mé", password="p:w"), "Basic " + base64.b64encode("mé:p:w".encode()).decode()),
        (WebAccess(), None),
    ],
)
def test_credentials_and_host_go_into_the_headers(service: Service, access: WebAccess, header: str | None) -> None:
    service.lists(1)
    query_series(service.url, study_uid(1), access)
    for _, headers in service.asked:
        assert headers.get("Authorization") == header
        assert headers["Host"] == service.url.split("/")[2]


def test_credentials_in_the_clear_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NetworkError):
        query_series("http://pacs.invalid/dicom-web", "1.2.3", WebAccess(token="hush", seconds=5))
    assert "credentials go to pacs.invalid unencrypted" in caplog.text
    assert "hush" not in caplog.text


def test_a_service_that_is_away() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/dicom-web"
        with pytest.raises(NetworkError, match=r"cannot be reached \(.*[Cc]onnection refused.*\); check the address"):
            query_series(url, "1.2.3")


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(NetworkError, match=r"pacs\.invalid/dicom-web cannot be reached"):
        query_series("http://pacs.invalid/dicom-web", "1.2.3")


def test_a_service_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/dicom-web"
        with pytest.raises(NetworkError, match="does not answer in time"):
            query_series(url, "1.2.3", WebAccess(seconds=0.2))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (401, "set MEDFUSE_WEB_TOKEN"),
        (403, "ask the archive's keeper"),
        (404, "check the address and the study UID"),
        (500, "look into its log"),
        (503, "try again later"),
    ],
)
def test_an_error_of_the_service(service: Service, code: int, advice: str) -> None:
    service.answers["/series"] = (code, "text/plain", b"")
    with pytest.raises(NetworkError, match=rf"answers HTTP {code}: .*{advice}"):
        query_series(service.url, "1.2.3")


@pytest.mark.parametrize(
    ("kind", "body"), [("text/html", b"<html>log in</html>"), (JSON, b'["x"]'), (JSON, b"[[1]]"), (JSON, b"7")]
)
def test_an_answer_that_is_no_dicomweb(service: Service, kind: str, body: bytes) -> None:
    service.answers["/series"] = (200, kind, body)
    with pytest.raises(NetworkError, match="does not answer as DICOMweb does"):
        query_series(service.url, "1.2.3")


def test_a_study_that_is_not_there(service: Service) -> None:
    service.answers["/series"] = (200, JSON, b"[]")
    with pytest.raises(NetworkError, match=r"has no study 1\.2\.3; check the study UID"):
        query_series(service.url, "1.2.3")


def test_a_service_that_answers_every_page_alike_comes_to_an_end(service: Service) -> None:
    """Some ignore ``offset``: then the second page brings nothing new."""
    service.lists(1)
    assert [entry.uid for entry in query_series(service.url, study_uid(1))] == [series_uid(1, 1)]


def test_series_come_under_names_that_count_up(service: Service, tmp_path: Path) -> None:
    service.lists(3)
    service.sends(3)
    files = fetch_study(service.url, study_uid(1), tmp_path / "new")
    assert [path.name for path in files] == ["000001.dcm", "000002.dcm", "000003.dcm"]
    assert [pydicom.dcmread(path).InstanceNumber for path in files] == [1, 2, 3]


@pytest.mark.parametrize("sent", [0, 2])
def test_a_series_of_which_a_part_is_missing_is_refused(service: Service, tmp_path: Path, sent: int) -> None:
    service.lists(3)
    service.sends(sent)
    with pytest.raises(NetworkError, match=rf"sent {sent} of 3 instances of series {series_uid(1, 1)}"):
        fetch_study(service.url, study_uid(1), tmp_path)


def test_an_answer_that_breaks_off(service: Service, tmp_path: Path) -> None:
    service.lists(3)
    service.sends(3)
    (path, (code, kind, body)) = next(item for item in service.answers.items() if item[0].startswith("/series/"))
    service.answers[path] = (code, kind, body[: len(body) // 2])
    with pytest.raises(NetworkError):
        fetch_study(service.url, study_uid(1), tmp_path)


def test_a_folder_that_cannot_be_written(service: Service, tmp_path: Path) -> None:
    service.lists(1)
    service.sends(1)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="was not written"):
        fetch_study(service.url, study_uid(1), tmp_path / "file")


def failed(reason: int) -> bytes:
    return json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}).encode()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, JSON, failed(0xA700)), "0xA700"),
        ((202, JSON, failed(0x0110)), "0x0110"),
        ((409, JSON, b"{}"), "HTTP 409"),
    ],
)
def test_objects_that_are_refused_are_counted(service: Service, tmp_path: Path, answer: Answer, reason: str) -> None:
    service.answers["/studies"] = answer
    with pytest.raises(NetworkError, match=rf"did not store 2 of 2 objects \(first reason: {reason}\)"):
        store_files(service.url, write_series(tmp_path, 1, 1, slices=2))
    assert [request for request, _ in service.asked] == ["POST /dicom-web/studies"] * 2


def test_a_service_that_fails_gets_no_more(service: Service, tmp_path: Path) -> None:
    service.answers["/studies"] = (401, "text/plain", b"")
    with pytest.raises(NetworkError, match="answers HTTP 401"):
        store_files(service.url, write_series(tmp_path, 1, 1, slices=3))
    assert len(service.asked) == 1


def test_large_objects_are_sent_in_one_piece(service: Service, tmp_path: Path) -> None:
    service.answers["/studies"] = (200, JSON, b"{}")
    store_files(service.url, write_series(tmp_path, 1, 1, slices=1, pixels=800))
    ((_, headers),) = service.asked
    assert int(headers["Content-Length"]) > 800 * 800 * 2
    assert "Transfer-Encoding" not in headers


def test_what_is_not_dicom_is_not_sent(service: Service, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(UnreadableFileError, match=r"text\.dcm is not a readable DICOM file"):
        store_files(service.url, [tmp_path / "text.dcm"])
    assert service.asked == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def encrypted(service: Service, certificates: Certificates) -> Iterator[Callable[[], str]]:
    """Return the address of the same service over TLS."""
    server = serving(service)
    server.socket = server_context(certificates.showing).wrap_socket(server.socket, server_side=True)
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield lambda: f"https://127.0.0.1:{server.server_address[1]}/dicom-web"
        server.shutdown()
        thread.join()


def test_a_service_over_tls(service: Service, encrypted: Callable[[], str], certificates: Certificates) -> None:
    service.lists(1)
    access = WebAccess(ca=certificates.files.ca)
    assert len(query_series(encrypted(), study_uid(1), access)) == 1


def test_a_certificate_that_is_not_trusted(encrypted: Callable[[], str]) -> None:
    with pytest.raises(NetworkError, match=r"TLS failed \(.*certificate verify failed.*\); check the certificates"):
        query_series(encrypted(), "1.2.3")


def test_a_file_of_certificates_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none\.pem does not exist"):
        query_series("https://localhost/", "1.2.3", WebAccess(ca=tmp_path / "none.pem"))


def test_a_plain_service_does_not_speak_tls(service: Service) -> None:
    with pytest.raises(NetworkError, match="TLS failed"):
        query_series(service.url.replace("http:", "https:"), "1.2.3")


def test_ssl_is_not_weakened(certificates: Certificates) -> None:
    assert server_context(certificates.files).verify_mode == ssl.CERT_REQUIRED
    assert server_context(certificates.showing).minimum_version == ssl.TLSVersion.TLSv1_2
