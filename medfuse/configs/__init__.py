"""The numbers that are data, not code: windows, registration presets, training presets."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def read_config(name: str) -> dict[str, Any]:
    """Return the content of ``configs/<name>.json``."""
    config: dict[str, Any] = json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
    return config
