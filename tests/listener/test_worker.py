"""A study goes from received to sent once: through late instances, failures and kills."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from made_instances import make_instance, quick_fuse, series_uid, study_uid
from pydicom.dataset import Dataset

from medfuse.errors import NetworkError, RegistrationError
from medfuse.listener import results
from medfuse.listener import worker as worker_module
from medfuse.listener.inbox import Inbox
from medfuse.listener.jobs import Job, read_job, write_job
from medfuse.listener.worker import Worker

QUIET = 10.0


class Hospital:
    """A worker with an inbox, a fusion and a destination that remember what they were asked."""

    def __init__(self, inbox: Inbox, clock: Any) -> None:
        self.inbox = inbox
        self.clock = clock
        self.fused: list[tuple[int, str]] = []  # instances and name of the output
        self.sent: list[Sequence[Path]] = []
        self.fuse: Callable[[Path, Path], Path] = quick_fuse
        self.refusals = 0
        self.start()

    def start(self, **options: Any) -> None:
        """Begin as after a start of the program: nothing is known but what is on the disk."""
        with self.inbox._placing:
            self.inbox._arrived.clear()
        self.worker = Worker(self.inbox, self._fuse, self._send, QUIET, retry_seconds=0.0)
        self.worker.resume(**options)

    def send(self, *instances: Dataset) -> None:
        for instance in instances:
            buffer = BytesIO()
            pydicom.dcmwrite(buffer, instance, enforce_file_format=True)
            self.inbox.keep(buffer.getvalue(), str(instance.SOPInstanceUID))

    def send_series(self, study: int, series: int, slices: int = 4) -> None:
        self.send(*(make_instance(study, series, number) for number in range(1, slices + 1)))

    def settle(self) -> None:
        """Let quiet come, and all work be done."""
        self.clock.seconds += QUIET + 1
        for _ in range(100):
            if not self.worker.step():
                return
        pytest.fail("the worker does not come to an end")

    def job(self, study: int) -> Job:
        return read_job(self.inbox.study(study_uid(study)))

    def _fuse(self, source: Path, output: Path) -> Path:
        self.fused.append((len(list(source.iterdir())), output.name))
        return self.fuse(source, output)

    def _send(self, files: Sequence[Path]) -> None:
        if self.refusals:
            self.refusals -= 1
            msg = "the archive is away"
            raise NetworkError(msg)
        self.sent.append(files)


@pytest.fixture
def hospital(inbox: Inbox, clock: Any) -> Hospital:
    return Hospital(inbox, clock)


def test_a_complete_quiet_study_is_fused_and_sent_once(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    assert not hospital.worker.step()
    assert hospital.fused == []
    hospital.settle()
    hospital.settle()
    hospital.start()
    hospital.settle()
    assert hospital.fused == [(8, "1")]
    assert [[path.name for path in files] for files in hospital.sent] == [["fused.dcm"]]
    job = hospital.job(1)
    assert job.state == "sent"
    assert job.series_used == (series_uid(1, 1), series_uid(1, 2))


def test_a_study_waits_for_its_second_series(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.settle()
    assert hospital.job(1).state == "received"
    assert hospital.job(1).reason == "1 usable series in 4 instances; a fusion needs 2"
    hospital.send_series(1, 2, slices=3)
    hospital.settle()
    assert hospital.job(1).state == "received"
    hospital.start()
    hospital.send(make_instance(1, 2, 4))
    hospital.settle()
    assert hospital.fused == [(8, "1")]


def test_no_fusion_begins_while_instances_still_come(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.clock.seconds += QUIET + 1
    hospital.worker._think_over(*hospital.inbox.take_quiet(QUIET))
    assert hospital.job(1).state == "queued"
    hospital.send(make_instance(1, 2, 5))
    assert not hospital.worker.step()
    hospital.settle()
    assert hospital.fused == [(9, "1")]


def test_pictures_that_cannot_be_fused_do_not_make_a_study_complete(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send(*(make_instance(1, 2, number, ImageType=["DERIVED", "PRIMARY"]) for number in range(1, 6)))
    hospital.send(*(make_instance(1, 3, number, Modality="SR") for number in range(1, 6)))
    hospital.send(*(make_instance(1, 4, number, ImagePositionPatient=[0.0, 0.0, 0.0]) for number in range(1, 6)))
    hospital.settle()
    assert hospital.fused == []
    hospital.send(make_instance(1, 5, 1, NumberOfFrames=20))
    hospital.settle()
    assert len(hospital.fused) == 1


def test_duplicates_do_not_fuse_a_study_again(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    hospital.send_series(1, 1)
    hospital.send(make_instance(1, 2, 2, InstanceNumber=9))
    hospital.settle()
    assert len(hospital.fused) == 1


def test_late_instances_of_a_used_series_make_a_new_generation(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    hospital.send(make_instance(1, 2, 5))
    hospital.settle()
    assert hospital.fused == [(8, "1"), (9, "2")]
    assert len(hospital.sent) == 2
    assert (hospital.job(1).state, hospital.job(1).generation) == ("sent", 2)
    assert (hospital.inbox.study(study_uid(1)) / "results" / "1" / "dicom" / "fused.dcm").is_file()


def test_late_instances_of_other_series_are_kept_and_fuse_nothing(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    hospital.send_series(1, 3)
    hospital.settle()
    hospital.start()
    hospital.settle()
    assert len(hospital.fused) == 1
    assert len(hospital.job(1).known) == 12


def test_the_result_that_an_archive_sends_back_is_not_fused(hospital: Hospital) -> None:
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    ((result,),) = hospital.sent
    hospital.send(pydicom.dcmread(result))
    hospital.settle()
    assert len(hospital.fused) == 1


def test_instances_that_come_during_the_fusion_are_late(hospital: Hospital) -> None:
    def fuse(source: Path, output: Path) -> Path:
        hospital.fuse = quick_fuse
        hospital.send(make_instance(1, 1, 5))
        assert len(list(source.iterdir())) == 8
        return quick_fuse(source, output)

    hospital.fuse = fuse
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    assert hospital.fused == [(8, "1")]
    hospital.settle()
    assert hospital.fused == [(8, "1"), (9, "2")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RegistrationError("no overlap; check the pair"), "no overlap; check the pair"),
        (ZeroDivisionError("Secret^Patient"), "unexpected ZeroDivisionError"),
        (MemoryError(), "unexpected MemoryError"),
    ],
)
def test_a_failure_is_noted_and_the_next_study_goes_on(hospital: Hospital, error: Exception, reason: str) -> None:
    def fuse(source: Path, output: Path) -> Path:
        output.mkdir()
        hospital.fuse = quick_fuse
        raise error

    hospital.fuse = fuse
    for study in (1, 2):
        hospital.send_series(study, 1)
        hospital.send_series(study, 2)
    hospital.settle()
    hospital.start()
    hospital.settle()
    assert (hospital.job(1).state, hospital.job(1).reason) == ("failed", reason)
    assert hospital.job(2).state == "sent"
    assert len(hospital.fused) == 2


@pytest.mark.parametrize("way", ["more instances", "asked for"])
def test_what_failed_is_fused_once_more(hospital: Hospital, way: str) -> None:
    def fuse(_source: Path, _output: Path) -> Path:
        msg = "not yet"
        raise RegistrationError(msg)

    hospital.fuse = fuse
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    hospital.fuse = quick_fuse
    if way == "more instances":
        hospital.send(make_instance(1, 1, 5))
    else:
        hospital.start(retry_failed=True)
    hospital.settle()
    assert (hospital.job(1).state, hospital.job(1).reason) == ("sent", "")


def test_a_result_without_dicom_files_is_a_failure(hospital: Hospital) -> None:
    def fuse(_source: Path, output: Path) -> Path:
        output.mkdir()
        return output

    hospital.fuse = fuse
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    assert hospital.job(1).state == "failed"
    assert "no DICOM files" in hospital.job(1).reason


def test_an_archive_that_is_away_gets_the_result_later(hospital: Hospital) -> None:
    hospital.refusals = 2
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.clock.seconds += QUIET + 1
    assert hospital.worker.step()  # fuses
    assert hospital.worker.step()  # fails to send
    assert (hospital.job(1).state, hospital.job(1).reason) == ("fused", "the archive is away")
    hospital.start()
    hospital.settle()
    assert hospital.job(1).state == "sent"
    assert (len(hospital.fused), len(hospital.sent)) == (1, 1)


def test_each_failure_to_send_makes_the_wait_longer() -> None:
    waits = [10.0]
    while len(waits) < 10:
        waits.append(worker_module.next_delay(waits[-1]))
    assert waits[:4] == [10.0, 20.0, 40.0, 80.0]
    assert waits[-1] == 600.0


def test_a_stop_during_the_fusion_leaves_the_study_queued(hospital: Hospital) -> None:
    def fuse(_source: Path, output: Path) -> Path:
        output.mkdir()
        raise KeyboardInterrupt

    hospital.fuse = fuse
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    with pytest.raises(KeyboardInterrupt):
        hospital.settle()
    assert (hospital.job(1).state, hospital.job(1).attempts) == ("queued", 0)
    hospital.fuse = quick_fuse
    hospital.start()
    hospital.settle()
    assert hospital.job(1).state == "sent"


def killed_while_fusing(hospital: Hospital, attempts: int = 1) -> Path:
    """Put a study on the disk as a listener leaves it that is killed during a fusion."""
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    study = hospital.inbox.study(study_uid(1))
    known = tuple(hospital.inbox.instances(study_uid(1)))
    write_job(study, Job(state="fusing", generation=1, attempts=attempts, known=known))
    results.snapshot(study, list(hospital.inbox.instances(study_uid(1)).values()))
    return study


def test_a_kill_during_the_fusion_fuses_again(hospital: Hospital) -> None:
    study = killed_while_fusing(hospital)
    (study / "results" / "1").mkdir(parents=True)
    (study / "results" / "1" / "half").write_bytes(b"")
    hospital.start()
    hospital.settle()
    assert hospital.fused == [(8, "1")]
    assert not (study / "results" / "1" / "half").exists()
    assert not (study / "input").exists()
    assert hospital.job(1).state == "sent"


def test_a_kill_after_the_fusion_does_not_fuse_again(hospital: Hospital) -> None:
    study = killed_while_fusing(hospital)
    output = results.cleared_folder(study, 1)
    results.mark_done(output, quick_fuse(study / "input", output))
    hospital.start()
    hospital.settle()
    assert hospital.fused == []
    assert len(hospital.sent) == 1
    assert hospital.job(1).state == "sent"


def test_a_study_that_kills_the_listener_again_and_again_is_given_up(hospital: Hospital) -> None:
    killed_while_fusing(hospital, attempts=3)
    hospital.start()
    hospital.settle()
    assert hospital.fused == []
    assert (hospital.job(1).state, hospital.job(1).reason[:34]) == ("failed", "the listener was stopped 3 times w")


def test_a_state_that_cannot_be_written_stops_nothing_for_good(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full for a while: the worker says so, waits, and sorts things out from what is on the disk."""
    failures = iter([True, True])
    write = worker_module.write_job

    def failing(study: Path, job: Job) -> None:
        if next(failures, False):
            raise OSError(28, "No space left on device")
        write(study, job)

    monkeypatch.setattr(worker_module, "write_job", failing)
    monkeypatch.setattr(worker_module, "_TROUBLE_SECONDS", 0.0)
    monkeypatch.setattr(worker_module, "_LOOKING_SECONDS", 0.0)
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    stop = threading.Event()
    send = hospital._send

    def send_and_stop(files: Sequence[Path]) -> None:
        send(files)
        stop.set()

    hospital.worker._send = send_and_stop
    looks = iter(range(1000))
    monkeypatch.setattr(stop, "wait", lambda _seconds: (advance(hospital), next(looks)))
    hospital.worker.run(stop)
    assert hospital.job(1).state == "sent"
    assert len(hospital.fused) == 1


def advance(hospital: Hospital) -> None:
    hospital.clock.seconds += QUIET + 1


@pytest.mark.parametrize("content", ["", "{}", '{"state": "lost"}', "[1]"])
def test_a_damaged_state_is_left_alone(hospital: Hospital, content: str) -> None:
    for study in (1, 2):
        hospital.send_series(study, 1)
        hospital.send_series(study, 2)
    (hospital.inbox.study(study_uid(1)) / "job.json").write_text(content)
    hospital.start()
    hospital.settle()
    assert hospital.job(2).state == "sent"
    assert (hospital.inbox.study(study_uid(1)) / "job.json").read_text() == content


def test_states_and_messages_hold_no_patient_data(hospital: Hospital, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="medfuse")
    hospital.refusals = 1
    hospital.send_series(1, 1)
    hospital.send_series(1, 2)
    hospital.settle()
    state = (hospital.inbox.study(study_uid(1)) / "job.json").read_text()
    assert json.loads(state)["state"] == "sent"
    assert study_uid(1) in caplog.text
    assert "ecret" not in caplog.text + state
