"""Credentials for DICOMweb, from the environment: on the command line every user of the computer could read them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medfuse import listener

if TYPE_CHECKING:
    from medfuse.io.dicom_web_access import WebAccess

_NAMES = ("MEDFUSE_WEB_USER", "MEDFUSE_WEB_PASSWORD", "MEDFUSE_WEB_TOKEN")


def web_access(ca: Path | None = None) -> WebAccess:
    """Return the user, password and token that the environment states, and the certificates to trust."""
    user, password, token = (os.environ.get(name, "") for name in _NAMES)
    return listener.WebAccess(user=user, password=password, token=token, ca=ca)
