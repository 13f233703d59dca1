"""Servers of the tests, stopped when a test ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stopped(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Ask a process to end when the block does; kill it if it takes longer."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
