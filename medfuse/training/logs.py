"""Training: curves and pictures of a run as it goes, for people and their tools.

``steps.jsonl`` has one line for every step and needs no tool; TensorBoard and MLflow show the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from medfuse.errors import OutputError
from medfuse.extras import required

STEPS_NAME = "steps.jsonl"
_EXPERIMENT = "medfuse"
_RUN_NAME = "mlflow_run.txt"


class Log(Protocol):
    """Where the numbers and pictures of a run go; steps count on from stage I to stage II."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Take numbers by name, such as ``loss/intensity``."""

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Take a gray picture (H, W) in [0, 1]."""

    def close(self) -> None:
        """Take no more."""


class StepsLog:
    """One line of JSON for each call, ``{"step": ..., name: value}``.

    Args:
        path: the file; lines beyond the first step are dropped, as they are written again.
        done: steps that are done; 0 begins anew.
    """

    def __init__(self, path: Path, done: int) -> None:
        kept = [line for line in _lines(path) if _step_of(line) <= done] if done else []
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write a line."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Leave pictures to others."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardLog:
    """Event files for TensorBoard.

    Args:
        folder: where they go.
        done: steps that are done; later ones, of a run that was killed, are hidden.

    Raises:
        MissingExtraError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, done: int) -> None:
        writer = required("torch.utils.tensorboard", "tensorboard", "train").SummaryWriter
        self._writer = writer(str(folder), purge_step=done + 1 if done else None)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Add a picture."""
        self._writer.add_image(name, picture[None], step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class MLflowLog:
    """A run of the experiment ``medfuse`` in MLflow.

    Args:
        uri: the tracking server or database, such as ``sqlite:///mlflow.db``, which needs no server.
        folder: where the name of the run is kept, so that a run that goes on stays one run.
        parameters: what the run depends on.
        done: steps that are done; 0 begins a new run.

    Raises:
        MissingExtraError: if MLflow is not installed.
        OutputError: if the server or database cannot be used.
    """

    def __init__(self, uri: str, folder: Path, parameters: Mapping[str, Any], done: int) -> None:
        mlflow = required("mlflow", "mlflow", "mlflow")
        noted = folder / _RUN_NAME
        try:
            self._client = mlflow.MlflowClient(uri)
            if not (done and noted.is_file()):
                noted.write_text(self._new_run(folder, parameters), encoding="utf-8")
            self._run = noted.read_text(encoding="utf-8")
        except (mlflow.MlflowException, ImportError) as error:
            msg = f"MLflow cannot use {uri!r} ({_first_line(error)}); give a server or sqlite:///FILE.db"
            raise OutputError(msg) from None

    def _new_run(self, folder: Path, parameters: Mapping[str, Any]) -> str:
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        place = folder.absolute().as_uri() + "/mlflow"
        experiment = found.experiment_id if found else self._client.create_experiment(_EXPERIMENT, place)
        run: str = self._client.create_run(experiment).info.run_id
        for name, value in parameters.items():
            self._client.log_param(run, name, value)
        return run

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Add a picture."""
        levels = (picture * 255).round().byte().numpy()
        self._client.log_image(self._run, np.asarray(levels), f"{name}_{step:07d}.png")

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)


class Logs:
    """Many logs as one.

    Args:
        logs: where to send everything; none is fine.
    """

    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return len(self._logs) > 0

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers to each log."""
        for log in self._logs:
            log.scalars(values, step)

    def picture(self, name: str, picture: Tensor, step: int) -> None:
        """Send a picture to each log."""
        for log in self._logs:
            log.picture(name, picture.clamp(0.0, 1.0), step)


@contextmanager
def opened_logs(
    folder: Path | None, mlflow_uri: str | None, parameters: Mapping[str, Any], done: int
) -> Iterator[Logs]:
    """Open the logs of a run for the time of a ``with`` block.

    Args:
        folder: for ``steps.jsonl`` and TensorBoard; None for no logs.
        mlflow_uri: MLflow's server or database; None for none. It needs a folder too.
        parameters: what the run depends on, for MLflow.
        done: steps that are done; what was logged of later ones is dropped.

    Raises:
        MissingExtraError: if a tool is not installed.
        OutputError: if a log cannot be written.
    """
    with ExitStack() as stack:
        logs: list[Log] = []

        def opened(log: Log) -> None:
            logs.append(stack.enter_context(closing(log)))

        if folder is not None:
            opened(_steps_log(folder, done))
            opened(TensorBoardLog(folder, done))
        if folder is not None and mlflow_uri is not None:
            opened(MLflowLog(mlflow_uri, folder, parameters, done))
        yield Logs(logs)


def _steps_log(folder: Path, done: int) -> StepsLog:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return StepsLog(folder / STEPS_NAME, done)
    except OSError as error:
        msg = f"{folder}: logs cannot be written ({error.strerror}); choose another folder"
        raise OutputError(msg) from None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _step_of(line: str) -> float:
    """Return the step of a line; a line that a killed run left unfinished comes after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
