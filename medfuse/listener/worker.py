"""The one who thinks over quiet studies, fuses complete ones, one at a time, and sends the results on."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medfuse.errors import MedfuseError, UnreadableFileError
from medfuse.listener.completion import FEWEST_SERIES, Judge, series_behind, usable_series
from medfuse.listener.inbox import Inbox
from medfuse.listener.jobs import Job, read_job, write_job
from medfuse.listener.results import cleared_folder, is_done, mark_done, result_files, snapshot, snapshot_folder
from medfuse.listener.sender import FIRST_DELAY_SECONDS, Send, next_delay

_log = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
_LOOKING_SECONDS = 0.2
_TROUBLE_SECONDS = 10.0

Fuse = Callable[[Path, Path], Path]
"""Takes a folder of a study's instances and an output folder to make; returns the folder whose .dcm files are sent."""


class Worker:
    """Carries studies from received to sent. Every step is on the disk before the next one begins.

    Args:
        inbox: the studies.
        fuse: makes a result of a study.
        send: brings a result on its way, or None to keep it here.
        quiet_seconds: how long nothing must have come to a study before it is thought over.
        judge: tells the usable series of a study.
        retry_seconds: how long to wait after a failure to send; it grows from there.
    """

    def __init__(
        self,
        inbox: Inbox,
        fuse: Fuse,
        send: Send | None,
        quiet_seconds: float,
        judge: Judge = usable_series,
        retry_seconds: float = FIRST_DELAY_SECONDS,
    ) -> None:
        self._inbox = inbox
        self._fuse = fuse
        self._send = send
        self._quiet_seconds = quiet_seconds
        self._judge = judge
        self._retry_seconds = retry_seconds
        self._queue: dict[str, None] = {}  # an ordered set
        self._unsent: dict[str, tuple[float, float]] = {}  # when to try, and how long to wait after that

    @property
    def waiting(self) -> int:
        """Return how many studies are queued, or fused and not sent."""
        return len(self._queue) + len(self._unsent)

    def resume(self, retry_failed: bool = False) -> None:
        """Find out from the disk what is to be done, after a start or a failure.

        Args:
            retry_failed: queue the studies whose fusion failed once more.

        Raises:
            OutputError: if a state cannot be written.
        """
        self._queue.clear()
        self._unsent.clear()
        for uid in self._inbox.studies():
            try:
                job = read_job(self._inbox.study(uid))
            except UnreadableFileError as error:
                _log.error("study %s is left alone: %s", uid, error)
                continue
            if job.state == "fusing":
                job = self._recovered(uid, job)
            elif job.state == "failed" and retry_failed:
                job = self._put(uid, replace(job, state="queued", attempts=0, reason=""))
            self._enlist(uid, job)
            if job.state == "received" or set(self._inbox.instances(uid)) - set(job.known):
                self._inbox.touch(uid)

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        while not stop.is_set():
            try:
                if not self.step():
                    stop.wait(_LOOKING_SECONDS)
            except (MedfuseError, OSError) as error:
                _log.error("%s; trying again in %.0f s", error, _TROUBLE_SECONDS)
                stop.wait(_TROUBLE_SECONDS)
                self.resume()

    def step(self) -> bool:
        """Do the next piece of work; tell whether there was any.

        Raises:
            MedfuseError: if a state cannot be read or written; ``resume`` then sorts things out.
        """
        for uid in self._inbox.take_quiet(self._quiet_seconds):
            self._think_over(uid)
        ready = next((uid for uid in self._queue if not self._inbox.arriving(uid)), None)
        if ready is not None:
            self._fuse_one(ready)
            return True
        due = next((uid for uid, (when, _) in self._unsent.items() if when <= time.monotonic()), None)
        if due is not None:
            self._send_one(due)
            return True
        return False

    def _think_over(self, uid: str) -> None:
        """Decide what a study that has become quiet needs."""
        job = read_job(self._inbox.study(uid))
        instances = self._inbox.instances(uid)
        new = set(instances) - set(job.known)
        if job.state in ("fused", "sent", "failed"):
            if not new:
                return
            if job.state != "failed" and not any(name.partition("/")[0] in job.series_used for name in new):
                _log.info("study %s: %d late instances of series that were not fused are kept aside", uid, len(new))
                self._put(uid, replace(job, known=tuple(instances)))
                return
        job = replace(job, known=tuple(instances), attempts=0)
        usable = self._judge(list(instances.values()))
        if len(usable) < FEWEST_SERIES:
            reason = f"{len(usable)} usable series in {len(instances)} instances; a fusion needs {FEWEST_SERIES}"
            state = job.state if job.state in ("fused", "sent") else "received"
            self._enlist(uid, self._put(uid, replace(job, state=state, reason=reason)))
            _log.info("study %s waits: %s", uid, reason)
            return
        generation = job.generation + (job.state not in ("received", "queued"))
        queued = replace(job, state="queued", generation=max(generation, 1), reason="")
        self._enlist(uid, self._put(uid, queued))
        _log.info("study %s: %d instances with %d usable series are queued", uid, len(instances), len(usable))

    def _fuse_one(self, uid: str) -> None:
        """Fuse a queued study, and note how it went."""
        study = self._inbox.study(uid)
        queued = read_job(study)
        instances = self._inbox.instances(uid)
        job = replace(queued, state="fusing", attempts=queued.attempts + 1, known=tuple(instances))
        self._put(uid, job)
        began = time.monotonic()
        try:
            output = cleared_folder(study, job.generation)
            mark_done(output, self._fuse(snapshot(study, list(instances.values())), output))
            job = _finished(study, job)
        except Exception as error:  # noqa: BLE001 - the next study must not wait for someone to look at this one
            _log.debug("study %s", uid, exc_info=True)
            job = replace(job, state="failed", reason=_reason(error))
        except BaseException:
            self._put(uid, queued)
            raise
        finally:
            shutil.rmtree(snapshot_folder(study), ignore_errors=True)
        self._enlist(uid, self._put(uid, job))
        told = "is fused" if job.state == "fused" else f"failed: {job.reason}"
        _log.info("study %s %s (%.1f s, generation %d)", uid, told, time.monotonic() - began, job.generation)

    def _send_one(self, uid: str) -> None:
        """Send the result of a study; wait longer after each failure."""
        study = self._inbox.study(uid)
        job = read_job(study)
        _, delay = self._unsent[uid]
        try:
            files = result_files(study, job.generation)
            if self._send is not None:
                self._send(files)
        except Exception as error:  # noqa: BLE001 - other results must not wait for this one
            _log.debug("study %s", uid, exc_info=True)
            self._unsent[uid] = (time.monotonic() + delay, next_delay(delay))
            _log.warning("study %s is not sent: %s; trying again in %.0f s", uid, _reason(error), delay)
            self._put(uid, replace(job, reason=_reason(error)))
            return
        self._enlist(uid, self._put(uid, replace(job, state="sent", reason="")))
        _log.info("study %s: %d objects are sent", uid, len(files))

    def _recovered(self, uid: str, job: Job) -> Job:
        """Return what became of a fusion during which a listener was killed."""
        study = self._inbox.study(uid)
        shutil.rmtree(snapshot_folder(study), ignore_errors=True)
        if is_done(study, job.generation):
            return self._put(uid, _finished(study, job))
        if job.attempts >= MOST_ATTEMPTS:
            reason = f"the listener was stopped {job.attempts} times while it fused this study"
            return self._put(uid, replace(job, state="failed", reason=reason))
        return self._put(uid, replace(job, state="queued"))

    def _put(self, uid: str, job: Job) -> Job:
        write_job(self._inbox.study(uid), job)
        return job

    def _enlist(self, uid: str, job: Job) -> None:
        """Remember what a state asks to be done."""
        self._queue.pop(uid, None)
        self._unsent.pop(uid, None)
        if job.state == "queued":
            self._queue[uid] = None
        elif job.state == "fused" and self._send is not None:
            self._unsent[uid] = (time.monotonic(), self._retry_seconds)


def _finished(study: Path, job: Job) -> Job:
    """Return the state of a study whose result is there as a whole."""
    used = series_behind(result_files(study, job.generation), job.known)
    return replace(job, state="fused", reason="", series_used=tuple(used))


def _reason(error: Exception) -> str:
    """Say why something failed. What medfuse does not raise itself may hold a patient's data: its text is left out."""
    return str(error) if isinstance(error, MedfuseError) else f"unexpected {type(error).__name__}"
