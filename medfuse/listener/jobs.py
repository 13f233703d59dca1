"""Where a study stands on its way from received to sent: one small file beside its instances."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import shown
from medfuse.io.output_folder import whole_file

State = Literal["received", "queued", "fusing", "fused", "sent", "failed"]
NAME = "job.json"


@dataclass(frozen=True)
class Job:
    """The state of one study.

    Attributes:
        state: received (waits for more), queued (complete), fusing, fused (waits to be sent), sent, or failed.
        generation: which fusion of this study it is, from 1; 0 before the first.
        attempts: how often the fusion of this generation was begun.
        reason: why it waits or failed, or empty.
        known: ``SERIES/INSTANCE`` of all that was there when the state was last thought over.
        series_used: UIDs of the series that the last result was made of.
    """

    state: State = "received"
    generation: int = 0
    attempts: int = 0
    reason: str = ""
    known: tuple[str, ...] = ()
    series_used: tuple[str, ...] = ()


def read_job(study: Path) -> Job:
    """Return the state of a study; a study without a state file is just received.

    Raises:
        UnreadableFileError: if the file is not what ``write_job`` wrote.
    """
    path = study / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        job = Job(
            state=content["state"],
            generation=int(content["generation"]),
            attempts=int(content["attempts"]),
            reason=str(content["reason"]),
            known=tuple(map(str, content["known"])),
            series_used=tuple(map(str, content["series_used"])),
        )
    except FileNotFoundError:
        return Job()
    except (LookupError, OSError, TypeError, ValueError) as error:
        msg = f"{shown(path)} is damaged; remove it to have the study fused anew"
        raise UnreadableFileError(msg) from error
    if job.state not in get_args(State):
        msg = f"{shown(path)} has the unknown state {shown(str(job.state))}; remove it to have the study fused anew"
        raise UnreadableFileError(msg)
    return job


def write_job(study: Path, job: Job) -> None:
    """Put a new state in place of the old one, in one step.

    Raises:
        OutputError: if it cannot be written.
    """
    with whole_file(study / NAME, overwrite=True) as temporary:
        temporary.write_text(json.dumps(asdict(job), indent=1) + "\n", encoding="utf-8")
