"""The entropy of an image's gray levels, in a form that has a derivative."""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = 256
_LEAST_SHARE = 1e-8  # keeps the logarithm of an empty level finite


def soft_entropy(image: Tensor) -> Tensor:
    """Return the entropy of each image, counting a pixel between two gray levels partly to each.

    Args:
        image: (B, 1, H, W) gray levels, 0 to 255; values beyond count as the nearest level.

    Returns:
        (B,) bits, from 0 to 8: for whole levels what ``medfuse.metrics.entropy`` gives.
    """
    rows = image.flatten(1).clamp(0.0, _LEVELS - 1.0)  # (B, N)
    lower = rows.detach().floor().clamp_max(_LEVELS - 2.0)
    above = rows - lower
    cells = lower.long() + _LEVELS * torch.arange(rows.shape[0], device=rows.device)[:, None]
    counts = rows.new_zeros(rows.shape[0] * _LEVELS)
    counts = counts.index_add(0, cells.flatten(), (1.0 - above).flatten())
    counts = counts.index_add(0, cells.flatten() + 1, above.flatten())
    shares = counts.view(-1, _LEVELS) / rows.shape[1]
    return -(shares * (shares + _LEAST_SHARE).log2()).sum(dim=1)
