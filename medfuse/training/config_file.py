"""Training: a user's own recipe, a JSON file of options on top of a preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import check_is_file, shown


def read_options_file(path: Path) -> dict[str, Any]:
    """Read attributes of ``TrainingOptions`` from a JSON file.

    Args:
        path: an object such as ``{"stage_two_steps": 2000, "stage_two": {"gradient": 5.0}}``.

    Raises:
        UnreadableFileError: if it is no JSON object.
    """
    check_is_file(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        msg = f'{shown(path)}: not a JSON object of options; write {{"stage_two_steps": 2000}}'
        raise UnreadableFileError(msg)
    return values
