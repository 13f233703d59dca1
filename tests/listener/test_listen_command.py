"""``medfuse listen`` as a program: it is stopped, killed and started again, and no study is lost or fused twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from made_instances import study_uid, write_series, write_study
from typer.testing import CliRunner

from medfuse.cli.listen import listen
from medfuse.io.dicom_network import store_files
from medfuse.io.dicom_node import Node

# pynetdicom leaves the socket of a connection that fails to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")

# Runs the command with a fusion that takes no time and notes each study that it fuses; it dies where it is told to.
CHILD = """
import os, signal, sys, warnings
from pathlib import Path
import typer
from medfuse.cli import listen as command
from medfuse.listener import results, worker
from made_instances import quick_fuse

noted, dies = Path(sys.argv[1]), sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def fuse(source, output):
    if dies == "before":
        die()
    warnings.warn("Secret^Patient")
    with noted.open("a") as file:
        file.write(source.parent.name + "\\n")
    if dies == "hangs":
        import time
        time.sleep(60)
    return quick_fuse(source, output)

def mark_and_die(output, folder):
    mark(output, folder)
    die()

mark = worker.mark_done
command._fuse_with = lambda options: fuse
if dies == "after":
    worker.mark_done = mark_and_die
sys.argv = ["listen", *sys.argv[3:]]
typer.run(command.listen)
"""


class Listener:
    """A running ``medfuse listen``."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.node = Node("127.0.0.1", port, "MEDFUSE", "SCANNER", seconds=10.0)

    @property
    def peak_mb(self) -> float:
        """Return the most memory that it has had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


@contextmanager
def listening(folder: Path, *options: str, dies: str = "never", quiet: float = 0.5) -> Iterator[Listener]:
    """Run the command on a free port for the time of a ``with`` block."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    arguments = ["-o", str(folder / "work"), "--port", "0", "--quiet-seconds", str(quiet), *options]
    command = [sys.executable, "-c", CHILD, str(folder / "fused.txt"), dies, *arguments]
    with (folder / "said.txt").open("a") as said:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env={**os.environ, "PYTHONPATH": paths}
        )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Listening as MEDFUSE on 127.0.0.1:"), (folder / "said.txt").read_text()
            yield Listener(process, int(line.rstrip(".\n").rpartition(":")[2]))
        finally:
            process.kill()


def wait_for(happened: Callable[[], bool], seconds: float = 50.0) -> None:
    latest = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < latest, "it does not happen"
        time.sleep(0.05)


def state(folder: Path, study: int) -> str:
    path = folder / "work" / "studies" / study_uid(study) / "job.json"
    return str(json.loads(path.read_text())["state"]) if path.is_file() else ""


def fused(folder: Path) -> list[str]:
    noted = folder / "fused.txt"
    return sorted(noted.read_text().split()) if noted.exists() else []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminated", "Ctrl-C"])
def test_a_listener_stops_cleanly_in_the_middle_of_a_fusion(tmp_path: Path, number: signal.Signals) -> None:
    with listening(tmp_path, dies="hangs") as listener:
        store_files(listener.node, write_study(tmp_path / "sent", 1))
        wait_for(lambda: fused(tmp_path) != [])
        listener.process.send_signal(number)
        said, _ = listener.process.communicate(timeout=20)
    assert listener.process.returncode == 0
    assert said == "Stopped. 1 studies wait for the next start.\n"
    assert state(tmp_path, 1) == "queued"
    with listening(tmp_path):
        wait_for(lambda: state(tmp_path, 1) == "fused")


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_kill_loses_nothing_and_fuses_nothing_twice(tmp_path: Path, dies: str) -> None:
    """Killed between the queue and the fusion, and between the fusion and the note that it is done."""
    with listening(tmp_path, dies=dies) as listener:
        store_files(listener.node, write_study(tmp_path / "sent", 1))
        listener.process.wait(timeout=25)
    assert listener.process.returncode == -signal.SIGKILL
    assert state(tmp_path, 1) == "fusing"
    with listening(tmp_path) as listener:
        wait_for(lambda: state(tmp_path, 1) == "fused")
        store_files(listener.node, write_study(tmp_path / "sent", 2))
        wait_for(lambda: state(tmp_path, 2) == "fused")
    assert fused(tmp_path) == [study_uid(1), study_uid(2)]


def test_a_kill_while_instances_come_keeps_those_that_were_acknowledged(tmp_path: Path) -> None:
    first, second = (write_series(tmp_path / "sent", 1, series) for series in (1, 2))
    with listening(tmp_path, quiet=30.0) as listener:
        store_files(listener.node, first)
        listener.process.kill()
    with listening(tmp_path) as listener:
        store_files(listener.node, second)
        wait_for(lambda: state(tmp_path, 1) == "fused")
    assert fused(tmp_path) == [study_uid(1)]


def test_twenty_studies_at_once_in_bounded_memory(tmp_path: Path) -> None:
    """160 MB come, 20 at a time; what is held is a few instances for each sender, and each study is fused once."""
    studies = {study: write_study(tmp_path / "sent", study, pixels=724) for study in range(1, 21)}
    with listening(tmp_path, quiet=2.0) as listener:
        store_files(listener.node, write_series(tmp_path / "sent", 99, 1, slices=1, pixels=724))
        before = listener.peak_mb
        senders = [threading.Thread(target=store_files, args=(listener.node, files)) for files in studies.values()]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(timeout=60)
        wait_for(lambda: len(fused(tmp_path)) == 20 and all(state(tmp_path, study) == "fused" for study in studies))
        grown = listener.peak_mb - before
    assert fused(tmp_path) == sorted(map(study_uid, studies))
    for study, files in studies.items():
        kept = list((tmp_path / "work" / "studies" / study_uid(study) / "instances").glob("*/*.dcm"))
        assert len(kept) == len(files)
    assert grown < 100


def test_what_it_says_names_no_patient(tmp_path: Path) -> None:
    with listening(tmp_path) as listener:
        store_files(listener.node, write_study(tmp_path / "sent", 1))
        wait_for(lambda: state(tmp_path, 1) == "fused")
    said = (tmp_path / "said.txt").read_text()
    assert f"note: study {study_uid(1)}: 8 instances with 2 usable series are queued" in said
    assert "ecret" not in said


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--host", "0.0.0.0"), "--host 0.0.0.0 lets other computers send; name those that may by --allow"),
        (("--forward", "nowhere"), "'nowhere' is no DICOM address"),
        (("--forward-web", "http://me:hush@host/"), "has a user or password in it"),
        (("--forward", "A@b:1", "--forward-web", "http://host/"), "are both given"),
        (("--method", "magic"), "method is 'magic'; choose one of"),
        (("--ca", "none.pem"), "give both --certificate and --key"),
        (("--allow", "A" * 17), "no AE title"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(
    tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    app = typer.Typer()
    app.command()(listen)
    result = CliRunner().invoke(app, ["-o", str(tmp_path / "work"), "--port", "0", *options])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert "hush" not in line
