"""A real archive for the tests: Orthanc on free loopback ports, with a configuration and a storage of its own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from skipping import skip_or_fail
from stopping import stopped

from medfuse.io.dicom_node import Node

PLUGINS = Path("/usr/share/orthanc/plugins")
SECONDS_TO_START = 20.0


@dataclass(frozen=True)
class Orthanc:
    """A running archive.

    Attributes:
        http: root of its own interface.
        port: where it speaks DIMSE.
    """

    http: str
    port: int

    @property
    def web(self) -> str:
        """Return the root of its DICOMweb service."""
        return f"{self.http}/dicom-web"

    @property
    def node(self) -> Node:
        """Return where it speaks DIMSE."""
        return Node("127.0.0.1", self.port, "ORTHANC")

    def empty(self) -> None:
        """Forget every patient."""
        for patient in self._ask("/patients"):
            request = urllib.request.Request(f"{self.http}/patients/{patient}", method="DELETE")
            urllib.request.urlopen(request, timeout=10).close()

    def count(self) -> int:
        """Return how many instances there are."""
        return len(self._ask("/instances"))

    def send_all_to(self, host: str, port: int, ae_title: str) -> None:
        """Send everything to another DICOM application, as an archive that is told to does."""
        self._tell("PUT", "/modalities/other", {"AET": ae_title, "Host": host, "Port": port})
        self._tell("POST", "/modalities/other/store", self._ask("/instances"))

    def _tell(self, method: str, path: str, content: object) -> None:
        body = json.dumps(content).encode()
        request = urllib.request.Request(f"{self.http}{path}", data=body, method=method)
        urllib.request.urlopen(request, timeout=25).close()

    def _ask(self, path: str) -> list[str]:
        with urllib.request.urlopen(f"{self.http}{path}", timeout=10) as answer:
            return list(json.load(answer))


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_orthanc(folder: Path, **settings: object) -> Iterator[Orthanc]:
    """Start an archive that keeps its data in a folder, and end it after the ``with`` block."""
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not Path(program).is_file():
        skip_or_fail("Orthanc is not installed (Debian: orthanc)")
    if not (PLUGINS / "libOrthancDicomWeb.so").exists():
        skip_or_fail("Orthanc's DICOMweb plugin is not installed (Debian: orthanc-dicomweb)")
    http, dicom = free_port(), free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps({**_configuration(folder, http, dicom), **settings}), encoding="utf-8")
    archive = Orthanc(f"http://127.0.0.1:{http}", dicom)
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
        with stopped(process, 10.0):
            _wait_for(archive, process, folder / "orthanc.log")
            yield archive


def _configuration(folder: Path, http: int, dicom: int) -> dict[str, object]:
    return {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "HttpPort": http,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": True,
        "HttpThreadsCount": 4,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def _wait_for(archive: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    latest = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < latest:
        if process.poll() is not None:
            break
        try:
            archive.count()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    pytest.fail(f"Orthanc did not start: {said}")
