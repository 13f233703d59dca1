"""How long work tells that it goes on, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """What the library calls while it works; the command line draws bars from it."""

    def start(self, step: str) -> None:
        """Say that a step begins."""

    def advance(self, done: int, total: int) -> None:
        """Say how many parts of the current step are done."""

    def finish(self) -> None:
        """Say that the current step is over."""


class Silent:
    """The listener that draws nothing."""

    def start(self, step: str) -> None:
        """Ignore the start of a step."""

    def advance(self, done: int, total: int) -> None:
        """Ignore the advance."""

    def finish(self) -> None:
        """Ignore the end of a step."""


@contextmanager
def showing(progress: Progress, step: str) -> Iterator[Progress]:
    """Announce a step for the time of a ``with`` block."""
    progress.start(step)
    try:
        yield progress
    finally:
        progress.finish()


def counted(items: Sequence[Item], progress: Progress) -> Iterator[Item]:
    """Go through the parts of the current step, and say before each how many are done."""
    for done, item in enumerate(items):
        progress.advance(done, len(items))
        yield item
