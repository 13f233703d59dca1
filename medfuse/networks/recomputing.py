"""Step 5 of 8, network: blocks that the kernels compute where they can, and that training may compute again.

To keep only what goes into each block saves memory: Chen et al., "Training deep nets with sublinear memory cost", 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint


class ComputedBlock(nn.Module):
    """A part of a network that maps (B, C, H, W) to the same shape, by kernels, or by PyTorch.

    Attributes:
        recompute: in training, compute what lies inside again on the way back instead of keeping it.
        train_by_kernels: do so where the kernels can, which is faster than keeping; there is no second derivative then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recompute = self.train_by_kernels = False

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if not torch.jit.is_scripting():
            computed = self._computed_again(x) if torch.is_grad_enabled() else self._by_kernels(x)
            if computed is not None:
                return computed
        return self._compute(x)

    @torch.jit.unused
    def gradients(self, x: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and of all parameters, from x and the gradient of the result, each (B, C, H, W)."""
        return gradients_through(self._compute, x, list(self.parameters()), gradient)

    @torch.jit.unused
    def _computed_again(self, x: Tensor) -> Tensor | None:
        """Compute something that is computed again on the way back; None if all is to be recorded."""
        if not (self.recompute or self.train_by_kernels):
            return None
        with torch.no_grad():
            computed = self._by_kernels(x)
        if computed is not None:
            run: Callable[..., Tensor] = _ComputedAgain.apply
            return run(self, computed, x, *self.parameters())
        if not self.recompute:
            return None
        return cast(Tensor, checkpoint(self._compute, x, use_reentrant=False, preserve_rng_state=False))

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        """Compute by the kernels; None where PyTorch has to do it."""
        raise NotImplementedError

    def _compute(self, x: Tensor) -> Tensor:
        """Compute by PyTorch."""
        raise NotImplementedError


def recompute_inside(network: nn.Module) -> None:
    """Let every ``ComputedBlock`` of a network keep only its input for the way back."""
    for block in _blocks(network):
        block.recompute = True


def train_by_kernels(network: nn.Module) -> None:
    """Let the kernels train every ``ComputedBlock`` of a network that they can, and let autograd record the others."""
    for block in _blocks(network):
        block.train_by_kernels = True


def _blocks(network: nn.Module) -> list[ComputedBlock]:
    return [part for part in network.modules() if isinstance(part, ComputedBlock)]


def gradients_through(
    compute: Callable[[Tensor], Tensor], x: Tensor, parameters: Sequence[Tensor], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Compute something again, and return the gradients of what went in and of parameters; None where there is none.

    Args:
        compute: maps x to what ``gradient`` is of.
        x: what went in.
        parameters: what else the result depends on.
        gradient: of the result.
    """
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    with torch.enable_grad():
        start = x.detach().requires_grad_()
        of_x, *found = torch.autograd.grad(compute(start), [start, *wanted], gradient, allow_unused=True)
    parts = iter(found)
    return (of_x, *(next(parts) if parameter.requires_grad else None for parameter in parameters))


class _ComputedAgain(Function):
    """A block whose result is known, and which keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, block: ComputedBlock, computed: Tensor, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.block = block
        ctx.save_for_backward(x, *parameters)
        return computed.view_as(computed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *_ = ctx.saved_tensors  # to ask for the parameters too is to be told if they have changed
        found = ctx.block.gradients(x, gradient)
        wanted = ctx.needs_input_grad[2:]
        return (None, None, *(part if asked else None for part, asked in zip(found, wanted, strict=True)))
