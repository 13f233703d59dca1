"""What a client is told about a fusion, as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from medfuse.evaluation.protocol import SMALLEST_SIDE, score
from medfuse.inferers.slices import slices_with_picture, split_into_slices
from medfuse.registration.verdict import Verdict
from medfuse.result import FusionResult

_MOST_SLICES_MEASURED = 5


def answer(result: FusionResult, ids: tuple[str, str], stored: Mapping[str, Any], metrics: bool) -> dict[str, Any]:
    """Gather what is worth knowing about a fused volume.

    Args:
        result: what the main job gave.
        ids: of the fixed and of the moving image.
        stored: what ``write_form`` said about the file.
        metrics: measure the fused volume.

    Returns:
        What JSON can hold; a number that is not finite is None.
    """
    roles = zip(("fixed", "moving"), ids, result.modalities, (result.fixed_window, result.moving_window), strict=True)
    told = {
        "verdict": verdict_as_json(result.registration.verdict),
        "metrics": measured(result) if metrics else {},
        **{role: {"id": name, "modality": kind, "window": asdict(window)} for role, name, kind, window in roles},
        "stored": dict(stored),
        "slice_axis": result.spatial_dim,
        "notes": list(result.record["notes"]),
        "record": result.record,
        "label_names": {},  # MONAI Label's own clients look for it
    }
    return dict(_finite(told))


def verdict_as_json(verdict: Verdict | None) -> dict[str, Any] | None:
    """Return grade, estimated error and reasons; None for a registration that was not judged."""
    if verdict is None:
        return None
    return {
        "grade": verdict.grade,
        "estimated_error_mm": verdict.estimated_error_mm,
        "reasons": list(verdict.reasons),
    }


def measured(result: FusionResult) -> dict[str, float]:
    """Return the mean of each sound measure over at most five evenly spread slices that show something.

    Args:
        result: what the main job gave.

    Returns:
        By name; nothing if slices are smaller than 41 pixels a side, or none shows anything.
    """
    volumes = (result.fixed_normalized, result.moving_normalized, result.fused)
    first, second, fused = (split_into_slices(volume.as_tensor(), result.spatial_dim) for volume in volumes)
    pictured = (slices_with_picture(first) & slices_with_picture(second)).nonzero().flatten()
    if min(first.shape[2:]) < SMALLEST_SIDE or len(pictured) == 0:
        return {}
    number = min(_MOST_SLICES_MEASURED, len(pictured))
    chosen = pictured[torch.linspace(0, len(pictured) - 1, number + 2).round().long()[1:-1]]
    scores = score(first[chosen], second[chosen], fused[chosen], ("sound",))
    return {name.removeprefix("sound."): float(values.nanmean()) for name, values in scores.items()}


def _finite(value: Any) -> Any:
    """Put None for every number that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
