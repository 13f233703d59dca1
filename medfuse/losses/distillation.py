"""A loss that asks one network for the pictures of another.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; here for images.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_STEP_WEIGHT = 2.0


def distillation_loss(fused: Tensor, taught: Tensor) -> Tensor:
    """Return the L1 distance to the teacher's picture, plus twice that of the steps between neighbors.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        taught: the teacher's picture, same shape and range.

    Returns:
        A scalar.
    """
    steps = sum(F.l1_loss(fused.diff(dim=axis), taught.diff(dim=axis)) for axis in (-2, -1))
    return F.l1_loss(fused, taught) + _STEP_WEIGHT * steps
