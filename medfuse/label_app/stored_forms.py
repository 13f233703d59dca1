"""How a fused volume is stored for the viewer that asked for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from medfuse.io.volume_files import write_color_volume, write_volume
from medfuse.result import FusionResult
from medfuse.transforms.volumes import on_grid_of

_MOST_INT16 = 32767
_MOST_UINT8 = 255


def write_float32(result: FusionResult, path: Path) -> dict[str, Any]:
    """Write the values as they are, 0 to 1."""
    write_volume(result.fused, path)
    return {"form": "float32", "per_unit": 1}


def write_int16(result: FusionResult, path: Path) -> dict[str, Any]:
    """Write the values as whole numbers from 0 to 32767, for viewers that cut off what follows the point."""
    levels = (result.fused.as_tensor().clamp(0.0, 1.0) * _MOST_INT16).round().to(torch.int16)
    write_volume(on_grid_of(result.fused, levels), path)
    return {"form": "int16", "per_unit": _MOST_INT16}


def write_rgb(result: FusionResult, path: Path) -> dict[str, Any]:
    """Write 24-bit color: with PET or SPECT the color overlay, else three times the gray value."""
    color = result.color
    if color is None:
        levels = (result.fused.as_tensor().clamp(0.0, 1.0) * _MOST_UINT8).round().to(torch.uint8)
        color = on_grid_of(result.fused, levels.expand(3, -1, -1, -1))
    write_color_volume(color, path)
    return {"form": "rgb", "per_unit": _MOST_UINT8}


_WRITERS: dict[str, Callable[[FusionResult, Path], dict[str, Any]]] = {
    "float32": write_float32,
    "int16": write_int16,
    "rgb": write_rgb,
}
FORMS = tuple(_WRITERS)


def write_form(result: FusionResult, form: str, path: Path) -> dict[str, Any]:
    """Write the fused volume as NIfTI.

    Args:
        result: what the main job gave.
        form: one of ``FORMS``.
        path: ends in ``.nii.gz``.

    Returns:
        ``form``, and ``per_unit``: which stored number stands for a fused value of 1.

    Raises:
        OutputError: if it cannot be written.
    """
    return _WRITERS[form](result, path)
