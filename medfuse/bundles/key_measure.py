"""Bundles: the measure by which validation keeps the best weights."""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics import foreground_mask, visual_information_fidelity


def worst_fidelity(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    """Return the visual information fidelity of the source that is kept worst, ``VIF_worst`` of ``sound_suite``.

    Args:
        first: (B, 1, H, W) in [0, 1], H and W at least 41.
        second: same shape.
        fused: same shape.

    Returns:
        (B,); NaN where both sources are blank.
    """
    mask = foreground_mask(first, second, 1.0)
    kept = [visual_information_fidelity(source, fused, mask, 1.0) for source in (first, second)]
    return torch.fmin(*kept)
