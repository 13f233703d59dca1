"""The studies that have arrived, on the disk: an instance is there as a whole, or not at all.

The tree::

    FOLDER/
    ├── lock                          held as long as a listener runs
    ├── incoming/                     instances that are just being written
    └── studies/STUDY_UID/
        ├── job.json                  where the study stands
        ├── notes.txt                 instances that came twice with different contents
        ├── instances/SERIES_UID/SOP_INSTANCE_UID.dcm
        └── results/1                 what was made of them; 2 after late instances, and so on
"""

from __future__ import annotations

import filecmp
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from medfuse.errors import OutputError, UnreadableFileError
from medfuse.io.checks import shown
from medfuse.io.dicom_peek import InstanceFacts, peek

Kept = Literal["new", "duplicate", "different"]

INSTANCES = "instances"
_locks: Any = import_module("fcntl") if os.name == "posix" else None


class Inbox:
    """A folder of studies into which many senders put instances at once.

    Args:
        folder: the working folder; made if it does not exist.
        clock: seconds that only go forward.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._studies = folder / "studies"
        self._incoming = folder / "incoming"
        self._clock = clock
        self._placing = threading.Lock()
        self._arrived: dict[str, float] = {}

    @contextmanager
    def opened(self) -> Iterator[Inbox]:
        """Hold the folder for the time of a ``with`` block, and clear what an earlier listener left half-written.

        Raises:
            OutputError: if the folder cannot be written, or another listener has it.
        """
        try:
            self._studies.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("a")
        except OSError as error:
            msg = f"{shown(self._folder)} cannot be written ({error.strerror}); choose another folder"
            raise OutputError(msg) from error
        with lock:
            _take(lock, self._folder)
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._incoming.mkdir(exist_ok=True)
            yield self

    def keep(self, content: bytes, announced_uid: str) -> Kept:
        """Take one instance.

        Args:
            content: a DICOM file.
            announced_uid: the SOPInstanceUID that the sender says it has.

        Returns:
            Whether it is new, was there already, or was there with other bytes; the first one is kept then.

        Raises:
            UnreadableFileError: if it is not DICOM, has no valid UIDs, or is not what was announced.
            OSError: if it cannot be written.
        """
        partial = self._incoming / f"{secrets.token_hex(8)}.dcm"
        try:
            _write_through(partial, content)
            facts = peek(partial)
            if facts.sop_uid != announced_uid:
                msg = "an instance has another UID than was announced; look into the sender's log"
                raise UnreadableFileError(msg)
            with self._placing:
                return self._place(partial, facts)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def studies(self) -> list[str]:
        """Return the UIDs of all studies."""
        return sorted(path.name for path in self._studies.iterdir() if path.is_dir())

    def study(self, uid: str) -> Path:
        """Return the folder of a study."""
        return self._studies / uid

    def instances(self, uid: str) -> dict[str, Path]:
        """Return the instances of a study by ``SERIES_UID/SOP_INSTANCE_UID``."""
        files = sorted((self.study(uid) / INSTANCES).glob("*/*.dcm"))
        return {f"{path.parent.name}/{path.stem}": path for path in files}

    def touch(self, uid: str) -> None:
        """Treat a study as one to which something has just come."""
        self._arrived[uid] = self._clock()

    def arriving(self, uid: str) -> bool:
        """Tell whether something has come to a study that nobody has thought over yet."""
        return uid in self._arrived

    def take_quiet(self, seconds: float) -> list[str]:
        """Return, once each, the studies to which nothing has come for some time, the longest first."""
        latest = self._clock() - seconds
        with self._placing:
            quiet = [uid for uid, arrived in self._arrived.items() if arrived <= latest]
            quiet.sort(key=self._arrived.__getitem__)
            for uid in quiet:
                del self._arrived[uid]
        return quiet

    def _place(self, partial: Path, facts: InstanceFacts) -> Kept:
        """Move a written instance to where it belongs, unless its place is taken."""
        study = self.study(facts.study_uid)
        self.touch(facts.study_uid)
        earlier = next((study / INSTANCES).glob(f"*/{facts.sop_uid}.dcm"), None)
        if earlier is not None:
            if filecmp.cmp(earlier, partial, shallow=False):
                return "duplicate"
            with (study / "notes.txt").open("a", encoding="ascii") as notes:
                notes.write(f"{facts.sop_uid} came again with other contents; the first is kept\n")
            return "different"
        series = study / INSTANCES / facts.series_uid
        series.mkdir(parents=True, exist_ok=True)
        os.replace(partial, series / f"{facts.sop_uid}.dcm")
        for folder in (series, series.parent, study, self._studies):
            _sync_folder(folder)
        return "new"


def _take(lock: Any, folder: Path) -> None:
    """Lock a file until it is closed, which the system does for a process that dies."""
    if _locks is None:
        return
    try:
        _locks.flock(lock, _locks.LOCK_EX | _locks.LOCK_NB)
    except OSError as error:
        msg = f"{shown(folder)} is in use by another listener; stop that one or choose another folder"
        raise OutputError(msg) from error


def _write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk: the sender forgets the instance when it is told so."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder, and need not
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
