"""A run that is killed goes on as if nothing had happened: the same losses, bit for bit, and the same weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medfuse.errors import InputError, OutputError, UnreadableFileError
from medfuse.networks import build
from medfuse.training import Record, TrainingOptions, train
from medfuse.training.checkpoint import checkpoint_path
from medfuse.training.logs import STEPS_NAME

LONG = {"stage_one_steps": 3, "stage_two_steps": 7, "checkpoint_every": 2, "validate_every": 5, "ema_decay": 0.9}
KILLED_AT = 4  # of stage II: after a checkpoint and a step more
KILLED_RUN = """
import json, os, signal, sys
from pathlib import Path
from medfuse.training import train
from medfuse.training.presets import options_from

class Killer:
    def start(self, step): pass
    def finish(self): pass
    def advance(self, done, total):
        if (done, total) == (4, 7):
            os.kill(os.getpid(), signal.SIGKILL)

data, folder, options = Path(sys.argv[1]), Path(sys.argv[2]), options_from(json.loads(sys.argv[3]), "test")
train(data, folder / "weights.safetensors", options, "", logs=folder / "logs", progress=Killer())
"""


class StoppedError(Exception):
    pass


class Stopper:
    """Stops a run at a step of stage I."""

    def start(self, step: str) -> None: ...

    def finish(self) -> None: ...

    def advance(self, done: int, _total: int) -> None:
        if done == 3:
            raise StoppedError


def steps_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "logs" / STEPS_NAME).read_text().splitlines()]


def looks_of(record: Record) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in record.curve]


def test_a_killed_run_goes_on_bit_for_bit(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    options = replace(tiny, **LONG)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    record = train(slices, whole / "weights.safetensors", options, "", logs=whole / "logs")
    words = [sys.executable, "-c", KILLED_RUN, str(slices), str(killed), json.dumps(asdict(options))]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["step"] for row in steps_of(killed)][-1] == LONG["stage_one_steps"] + KILLED_AT
    assert checkpoint_path(killed / "weights.safetensors").is_file()

    resumed = train(slices, killed / "weights.safetensors", options, "", logs=killed / "logs", resume=True)
    assert len(steps_of(killed)) > sum(LONG[name] for name in ("stage_one_steps", "stage_two_steps"))
    assert steps_of(killed) == steps_of(whole)
    assert looks_of(resumed) == looks_of(record)
    first, second = (build("cddfuse", folder / "weights.safetensors").state_dict() for folder in (whole, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not checkpoint_path(killed / "weights.safetensors").exists()


@pytest.fixture
def stopped(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> Path:
    """Return the weights path of a run that was stopped before its first look, with a checkpoint beside it."""
    options = replace(tiny, stage_one_steps=4, validate_every=4, checkpoint_every=2)
    with pytest.raises(StoppedError):
        train(slices, tmp_path / "weights.safetensors", options, "", progress=Stopper())
    return tmp_path / "weights.safetensors"


def test_an_interrupted_run_is_not_begun_anew_by_mistake(slices: Path, stopped: Path, tiny: TrainingOptions) -> None:
    with pytest.raises(
        OutputError, match=r"weights\.checkpoint\.pt is of a run that was interrupted; go on with --resume"
    ):
        train(slices, stopped, tiny, "")
    train(slices, stopped, replace(tiny, stage_one_steps=1, stage_two_steps=0), "", overwrite=True)
    assert stopped.is_file()


def test_another_run_is_not_gone_on_with(slices: Path, stopped: Path, tiny: TrainingOptions) -> None:
    with pytest.raises(InputError, match="of a run with other options; repeat that command"):
        train(slices, stopped, tiny, "", resume=True)


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_damaged_checkpoint_is_refused(slices: Path, stopped: Path, tiny: TrainingOptions, content: bytes) -> None:
    checkpoint_path(stopped).write_bytes(content)
    with pytest.raises(UnreadableFileError, match="not a checkpoint of this version; delete it"):
        train(slices, stopped, tiny, "", resume=True)


def test_resume_without_a_checkpoint_begins(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    options = replace(tiny, stage_one_steps=1, stage_two_steps=0)
    assert len(train(slices, tmp_path / "weights.safetensors", options, "", resume=True).curve) == 1
