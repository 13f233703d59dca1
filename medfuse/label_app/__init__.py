"""MONAI Label app: serves the main job to viewers, on images that a datastore holds.

MONAI Label needs an environment of its own, so names are loaded when first used: medfuse and its command line can be
had without it. What a served folder's ``main.py`` imports is ``medfuse.label_app.app``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medfuse.extras import public_name

if TYPE_CHECKING:
    from medfuse.label_app.app_folder import write_app

__all__ = ["write_app"]

_HOME = {"write_app": "medfuse.label_app.app_folder"}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    return public_name(__name__, _HOME, name)
