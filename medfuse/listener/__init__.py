"""Listener: takes studies that are sent by C-STORE, fuses each when it is complete, and sends the result on.

Everything is on the disk before it counts, so that a listener that is killed goes on where it was. Names are loaded
when first used, so that the command line can offer listening without importing what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medfuse.io.dicom_node import parse_node
    from medfuse.io.dicom_tls import TlsFiles
    from medfuse.io.dicom_web_access import WebAccess
    from medfuse.listener.inbox import Inbox
    from medfuse.listener.receiver import Receiver
    from medfuse.listener.sender import send_to_node, send_to_web
    from medfuse.listener.worker import Worker

__all__ = ["Inbox", "Receiver", "TlsFiles", "WebAccess", "Worker", "parse_node", "send_to_node", "send_to_web"]

_HOME = {
    "Inbox": "medfuse.listener.inbox",
    "Receiver": "medfuse.listener.receiver",
    "TlsFiles": "medfuse.io.dicom_tls",
    "WebAccess": "medfuse.io.dicom_web_access",
    "Worker": "medfuse.listener.worker",
    "parse_node": "medfuse.io.dicom_node",
    "send_to_node": "medfuse.listener.sender",
    "send_to_web": "medfuse.listener.sender",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    msg = f"module 'medfuse.listener' has no attribute {name!r}"
    raise AttributeError(msg)
