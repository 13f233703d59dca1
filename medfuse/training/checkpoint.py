"""Training: the state of a run on the disk, from which it goes on as if it had never stopped."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.output_folder import whole_file

_READING_ERRORS = (EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)


@dataclass(frozen=True)
class Checkpoint:
    """Everything that the rest of a run depends on. Patches need no state: each is a function of its number.

    Attributes:
        identity: what must be the same in the run that goes on: options, data, the weights that were started from.
        stage: name of the stage.
        step: steps of that stage that are done.
        network: state of the network.
        optimizer: state of the optimizer, with the place in the schedule.
        average: state of the moving average; empty if there is none.
        record: what happened so far.
    """

    identity: dict[str, Any]
    stage: str
    step: int
    network: dict[str, Any]
    optimizer: dict[str, Any]
    average: dict[str, Any]
    record: dict[str, Any]


def checkpoint_path(weights: Path) -> Path:
    """Return where the checkpoint of a run lies: beside its weights, ``NAME.checkpoint.pt``."""
    return weights.with_suffix(".checkpoint.pt")


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint in place of an earlier one, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    content = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    with whole_file(path, overwrite=True) as unfinished:
        torch.save(content, unfinished)


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint:
    """Read a checkpoint; nothing in it is run as code.

    Args:
        path: the file.
        identity: what the run that goes on depends on.

    Raises:
        UnreadableFileError: if the file is damaged or no checkpoint.
        InputError: if it belongs to a run of another identity.
    """
    try:
        checkpoint = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except _READING_ERRORS:
        msg = f"{path}: not a checkpoint of this version; delete it to start the run again"
        raise UnreadableFileError(msg) from None
    other = sorted(key for key in identity if checkpoint.identity.get(key) != identity[key])
    if other:
        msg = f"{path} is of a run with other {', '.join(other)}; repeat that command, or delete the checkpoint"
        raise InputError(msg)
    return checkpoint
