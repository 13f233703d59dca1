"""A real MONAI Label server for the tests, on a free loopback port, in the environment that `make label-env` builds."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cli_runs import run
from MedfuseFusionLib.client import FusionClient, ServerError
from orthanc import free_port
from skipping import skip_or_fail
from stopping import stopped

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 120.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}


@dataclass(frozen=True)
class LabelServer:
    """A running server.

    Attributes:
        url: where it listens.
        process: the server.
        folder: the app that it serves.
        log: what it prints.
    """

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    @property
    def client(self) -> FusionClient:
        """Return a client of it."""
        return FusionClient(self.url, timeout_s=120.0)

    def infer(self, task: str, image: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for the JSON of an infer task; a refusal is a ``ServerError``."""
        query = f"/infer/{task}?image={quote(image)}&output=json"
        body = f"params={quote(json.dumps(params or {}))}".encode()
        return self.ask("POST", query, body, "application/x-www-form-urlencoded")

    def post(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Post JSON."""
        return self.ask("POST", path, json.dumps(params).encode(), "application/json")

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> dict[str, Any]:
        """Return the JSON of an answer."""
        return self.client._json(method, path, body, kind)

    def refusal(self, image: str, params: Mapping[str, Any], task: str = "fusion") -> tuple[int, str]:
        """Ask for what must be refused; return the status and the reason, which is one line."""
        with pytest.raises(ServerError) as refused:
            self.infer(task, image, params)
        assert refused.value.reason
        assert "Traceback" not in refused.value.reason
        assert len(refused.value.reason.splitlines()) == 1
        return refused.value.status, refused.value.reason

    def said(self) -> str:
        """Return all that the server has printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def label_python() -> Path:
    """Return the interpreter that has MONAI Label, or skip the test."""
    path = Path(os.environ.get("MEDFUSE_LABEL_PYTHON", ROOT / ".venv-label" / "bin" / "python"))
    if not path.is_file():
        skip_or_fail("MONAI Label's environment is not there (make label-env)")
    return path


@contextmanager
def running_label_server(folder: Path, studies: str, **settings: str) -> Iterator[LabelServer]:
    """Write an app, serve it on the loopback interface, and end it after the ``with`` block.

    Args:
        folder: an empty folder for the app and everything that the server keeps.
        studies: a folder of volumes, or the address of a DICOMweb service.
        **settings: of MONAI Label, such as ``DICOMWEB_CACHE_PATH``.
    """
    python, port = label_python(), free_port()
    assert run("label-app", folder / "app").exit_code == 0
    arguments = ["start_server", "--host", "127.0.0.1", "--port", str(port), "--app", str(folder / "app")]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("MONAI_LABEL_", "COV_"))},
        **ONE_THREAD,
        **{f"MONAI_LABEL_{name}": value for name, value in settings.items()},
        "HOME": str(folder),
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", "monailabel.main", *arguments, "--studies", studies],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
        )
        server = LabelServer(f"http://127.0.0.1:{port}", process, folder / "app", folder / "server.log")
        with stopped(process, 15.0):
            _wait_for(server)
            yield server


def run_there(*arguments: str | Path) -> None:
    """Run ``medfuse`` in the environment of the server."""
    command = [str(label_python()), "-c", "from medfuse.cli.main import main; main()", *map(str, arguments)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr


def _wait_for(server: LabelServer) -> None:
    latest = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < latest and server.process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/info/", timeout=30).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"MONAI Label did not start: {server.said()[-3000:]}")
