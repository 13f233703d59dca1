"""The JSON sidecar that BIDS puts beside a volume (Gorgolewski et al., Scientific Data 3:160044, 2016)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from medfuse.io.checks import shown

_log = logging.getLogger(__name__)

_LARGEST_SIDECAR = 2**20
_EXTENSIONS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return the fields of ``<name>.json`` beside a volume.

    Args:
        path: the volume's file.

    Returns:
        The fields; none if there is no sidecar. A broken one is logged and passed over.
    """
    sidecar = path.with_name(f"{stem_of(path)}.json")
    try:
        if not sidecar.is_file():
            return {}
        with sidecar.open("rb") as file:
            content = file.read(_LARGEST_SIDECAR + 1)
        if len(content) > _LARGEST_SIDECAR:
            _log.warning("%s is larger than %d bytes and was not read", shown(sidecar.name), _LARGEST_SIDECAR)
            return {}
        fields = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s is not readable JSON and was passed over (%s)", shown(sidecar.name), type(error).__name__)
        return {}
    return fields if isinstance(fields, dict) else {}


def stem_of(path: Path) -> str:
    """Return a volume's file name without its extension, both parts of ``.nii.gz`` included."""
    for extension in _EXTENSIONS:
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return path.stem
