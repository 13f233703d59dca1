"""Where results go: to a DICOM application or a DICOMweb service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from medfuse.io.dicom_node import Node
from medfuse.io.dicom_place import NodeArchive, WebArchive
from medfuse.io.dicom_web_access import WebAccess

Send = Callable[[Sequence[Path]], None]
"""Takes DICOM files, and raises a ``MedfuseError`` unless all have arrived."""

FIRST_DELAY_SECONDS = 10.0
LONGEST_DELAY_SECONDS = 600.0


def send_to_node(node: Node) -> Send:
    """Return what sends by C-STORE."""
    return NodeArchive(node).store


def send_to_web(url: str, access: WebAccess | None = None) -> Send:
    """Return what sends by STOW.

    Raises:
        OptionError: if the address is none.
    """
    return WebArchive(url, access).store


def next_delay(seconds: float) -> float:
    """Return how long to wait after another failure: twice as long each time, up to ten minutes."""
    return min(seconds * 2, LONGEST_DELAY_SECONDS)
