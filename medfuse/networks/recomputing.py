"""Step 5 of 8, network: train with less memory by computing activations again on the way back.

Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recompute_inside(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> None:
    """Let every part of these kinds keep only its input for the way back.

    Args:
        network: has such parts; each has an attribute ``recompute``.
        kinds: of the parts.
    """
    for part in network.modules():
        if isinstance(part, kinds):
            part.recompute = True  # type: ignore[assignment]


def recomputed(compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``compute(x)``, of which only x is kept for the way back."""
    return cast(Tensor, checkpoint(compute, x, use_reentrant=False, preserve_rng_state=False))
