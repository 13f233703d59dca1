"""A command that is stopped in the middle, by a key, a signal or a full disk, leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import QUICK, everything, refusal

# Runs the command as a user does, and says so in a file when the registration begins.
CHILD = """
import resource, signal, sys
from pathlib import Path
from medfuse import steps
from medfuse.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
begun, largest = Path(sys.argv[1]), int(sys.argv[2])
register = steps.register_to_fixed
def register_and_tell(*arguments):
    begun.touch()
    return register(*arguments)
steps.register_to_fixed = register_and_tell
if largest:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
sys.argv = ["medfuse", *sys.argv[3:]]
main()
"""


def start(begun: Path, largest_file: int, *arguments: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(begun), str(largest_file), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["Ctrl-C", "terminated", "hung up"]
)
def test_a_signal_during_registration(patient: Path, tmp_path: Path, number: signal.Signals) -> None:
    begun, folder = tmp_path / "begun", tmp_path / "folder"
    folder.mkdir()
    child = start(
        begun, 0, "fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", folder / "new" / "out", "--method", "max"
    )
    try:
        while not begun.exists() and child.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3)
        assert everything(folder) != set()
        child.send_signal(number)
        said, complained = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert complained == "interrupted; nothing half-written is left\n"
    assert said == ""
    assert everything(folder) == set()


def test_a_file_that_may_not_grow(patient: Path, tmp_path: Path) -> None:
    """The system refuses to write beyond 100 kB, less than the fused volume takes."""
    folder = tmp_path / "folder"
    folder.mkdir()
    command = ("fuse", patient / "t1.nii.gz", patient / "pet.nii.gz", "-o", folder / "out", *QUICK)
    child = start(tmp_path / "begun", 100_000, *command)
    said, complained = child.communicate(timeout=60)
    lines = [line for line in complained.splitlines() if not line.startswith("note: ")]
    assert child.returncode == 1
    assert said == ""
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert "was not written: file too large; free some space or choose another disk" in lines[0]
    assert everything(folder) == set()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of 512 kB, which takes some of the outputs and not all."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"mounting a small file system is not permitted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full(patient: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medfuse.run.Run.note", lambda *_args: None)
    line = refusal("fuse", patient / "t1.nii.gz", patient / "pet.nii.gz", "-o", small_disk / "out", *QUICK)
    assert "was not written: no space left on device; free some space or choose another disk" in line
    assert everything(small_disk) == set()
