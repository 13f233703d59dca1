"""Code compiled from C++: found where it could be built, and left out where it is to be compared."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Switch:
    """Whether something is done, in the whole process; it can be left out for a while, to compare the two.

    Attributes:
        on: whether it is done.
    """

    def __init__(self) -> None:
        self.on = True

    @contextmanager
    def off(self) -> Iterator[None]:
        """Leave it out for a while."""
        before, self.on = self.on, False
        try:
            yield
        finally:
            self.on = before


def load(folder: Path, name: str) -> ctypes.CDLL | None:
    """Load a compiled library.

    Args:
        folder: where it was built.
        name: what its file name begins with.

    Returns:
        None if it was not built, or for another machine.
    """
    for path in sorted(folder.glob(f"{name}*.so")):
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # of another machine, or damaged
            continue
    return None
