"""What all commands share: where they print, how they show progress, how they fail."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from medfuse.errors import MedfuseError

P = ParamSpec("P")

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class StepBars:
    """Draws one bar for each step of the work."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def start(self, step: str) -> None:
        """Begin a bar."""
        self._task = self._bars.add_task(step, total=None)

    def advance(self, done: int, total: int) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def finish(self) -> None:
        """Fill the current bar."""
        if self._task is not None:
            self._bars.update(self._task, total=1, completed=1)
            self._bars.stop_task(self._task)


@contextmanager
def progress_bar() -> Iterator[StepBars]:
    """Show progress on the standard error, if that is a terminal, for the time of a ``with`` block."""
    columns = (SpinnerColumn(), TextColumn("{task.description:<10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bars:
        yield StepBars(bars)


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an expected error or an interruption into one line and an exit code."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        before = {number: signal.signal(number, _interrupt) for number in _stopping_signals()}
        logging.getLogger("medfuse").handlers = [_Notes()]
        try:
            command(*args, **kwargs)
        except MedfuseError as error:
            _fail(f"error: {error}", EXIT_ERROR)
        except KeyboardInterrupt:
            _fail("interrupted; nothing half-written is left", EXIT_INTERRUPTED)
        except MemoryError:
            _fail("error: the memory of this computer does not suffice; give smaller volumes", EXIT_ERROR)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return wrapper


class _Notes(logging.Handler):
    """Says each note of the library in one line, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(f"note: {record.getMessage()}", markup=False)


def _stopping_signals() -> list[signal.Signals]:
    """Return the signals that ask a program to end and are not ignored, as ``nohup`` ignores the hang-up."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no hang-up
    return [number for name in names if signal.getsignal(number := signal.Signals[name]) != signal.SIG_IGN]


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(line: str, code: int) -> NoReturn:
    err.print(" ".join(line.split()), markup=False, style="bold red" if sys.stderr.isatty() else None)
    raise typer.Exit(code)
