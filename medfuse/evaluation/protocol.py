"""Evaluation: how images become the gray levels that a suite of measures takes."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medfuse.evaluation.options import SUITES
from medfuse.metrics import published_suite, sound_suite

SMALLEST_SIDE = 41  # pixels; visual information fidelity over four scales needs them

Array: TypeAlias = npt.NDArray[np.float32]

_GRAY_LEVELS = 255.0


def score(
    first: Tensor, second: Tensor, fused: Tensor, suites: tuple[str, ...] = SUITES, mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Score fused images, each suite by its own protocol.

    ``published``: sources rounded to 8-bit levels, the fused image stretched from its least to its largest value, to
    0 and 255, and rounded. ``sound``: the values as they are, inside the foreground.

    Args:
        first: (B, 1, H, W) in [0, 1]; H and W at least 41.
        second: same shape and range.
        fused: same shape and range.
        suites: which of ``"published"`` and ``"sound"``.
        mask: bool of the same shape, True where pixels count in the sound suite; None takes the foreground.

    Returns:
        Values (B,), float64, by ``"SUITE.MEASURE"``.
    """
    first, second, fused = (image.double().clamp(0.0, 1.0) for image in (first, second, fused))
    scores: dict[str, Tensor] = {}
    if "published" in suites:
        found = published_suite(_whole_levels(first), _whole_levels(second), _whole_levels(stretched(fused)))
        scores |= {f"published.{name}": values for name, values in found.items()}
    if "sound" in suites:
        found = sound_suite(_GRAY_LEVELS * first, _GRAY_LEVELS * second, _GRAY_LEVELS * fused, mask, _GRAY_LEVELS)
        scores |= {f"sound.{name}": values for name, values in found.items()}
    return scores


def score_arrays(suites: tuple[str, ...], images: tuple[Array, Array]) -> list[dict[str, float]]:
    """Do the same for what another process can be given: the sources (B, 2, H, W) and the fused images (B, 1, H, W)."""
    sources, fused = (torch.from_numpy(image) for image in images)
    scores = score(sources[:, :1], sources[:, 1:], fused, suites)
    return [{name: float(values[index]) for name, values in scores.items()} for index in range(len(fused))]


def stretched(fused: Tensor) -> Tensor:
    """Stretch each image from its least to its largest value, to 0 and 1; a blank one becomes 0.

    Args:
        fused: (B, 1, H, W).

    Returns:
        Same shape, in [0, 1].
    """
    low, high = fused.amin(dim=(1, 2, 3), keepdim=True), fused.amax(dim=(1, 2, 3), keepdim=True)
    return (fused - low) / (high - low).clamp_min(torch.finfo(fused.dtype).tiny)


def _whole_levels(image: Tensor) -> Tensor:
    return (_GRAY_LEVELS * image).round()
