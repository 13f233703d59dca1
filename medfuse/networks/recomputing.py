"""Step 5 of 8, network: blocks that the kernels compute where they can, and that training may compute again.

To keep only what goes into each block saves memory: Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ComputedBlock(nn.Module):
    """A part of a network that maps (B, C, H, W) to the same shape, by kernels, or by PyTorch.

    Attributes:
        recompute: in training, compute what lies inside again on the way back instead of keeping it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recompute = False

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if not torch.jit.is_scripting():
            computed = self._by_kernels(x)
            if computed is not None:
                return computed
            if self.recompute and torch.is_grad_enabled():
                return cast(Tensor, checkpoint(self._compute, x, use_reentrant=False, preserve_rng_state=False))
        return self._compute(x)

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        """Compute by the kernels; None where PyTorch has to do it."""
        raise NotImplementedError

    def _compute(self, x: Tensor) -> Tensor:
        """Compute by PyTorch."""
        raise NotImplementedError


def recompute_inside(network: nn.Module) -> None:
    """Let every ``ComputedBlock`` of a network keep only its input for the way back."""
    for part in network.modules():
        if isinstance(part, ComputedBlock):
            part.recompute = True
