"""Training: the objective of a restorer.

The Charbonnier loss, an absolute difference with a soft corner. Charbonnier et al., "Two deterministic half-quadratic
regularization algorithms for computed imaging", ICIP 1994.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from medfuse.training.stages import Terms


def restoration_terms(network: Callable[[Tensor], Tensor], image: Tensor, softness: float) -> Terms:
    """Return how far restored pictures are from clean ones.

    Args:
        network: the restorer in training, (B, 1, H, W) to the same shape.
        image: (B, 2, H, W), clean, then degraded.
        softness: difference below which the loss is round, above 0.

    Returns:
        The one term, a scalar; its value is the loss.
    """
    clean, degraded = image.chunk(2, dim=1)
    difference = network(degraded).float() - clean.float()
    return {"difference": torch.sqrt(difference.square() + softness**2).mean()}
