"""Step 5 of 8, network: a stack of invertible layers whose activations are not kept but computed again.

Gomez et al., "The Reversible Residual Network: Backpropagation Without Storing Activations", NeurIPS 2017: going back,
each layer's input is had from its output by the inverse. Rounding grows with the number of layers undone, so the exact
input of every few layers may be kept as an anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from medfuse.errors import OptionError
from medfuse.networks.recomputing import gradients_through


class Invertible(Protocol):
    """What a layer of the stack can do."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back."""

    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to the same shape, and return the log-determinant of the Jacobian, (B,), beside it."""


class InvertibleSequence(nn.Sequential):
    """Invertible layers one after the other, with little memory for training.

    The result is that of ``nn.Sequential``, and tensors are named alike. While gradients are recorded and
    ``anchor_every`` is above 0, only the last output and the anchors are kept. Under autocast the layers then compute
    in the type of their weights, since what is undone in 16 bits is not what was done. Second derivatives are refused,
    and ``torch.compile`` leaves the stack as it is.

    Args:
        layers: the layers, each with ``inverse`` and ``with_log_determinant``.
        anchor_every: keep the exact input of each so manyth layer; 0 to record everything, as usual.

    Raises:
        OptionError: if a layer cannot be inverted, or the number is below 0.
    """

    def __init__(self, layers: Iterable[nn.Module], anchor_every: int = 0) -> None:
        super().__init__(*layers)
        for number, layer in enumerate(self):
            if not (hasattr(layer, "inverse") and hasattr(layer, "with_log_determinant")):
                msg = f"layer {number}, {type(layer).__name__}, has no inverse; use couplings only"
                raise OptionError(msg)
        if anchor_every < 0:
            msg = f"anchor_every is {anchor_every}; give 0 to record everything, or a number of layers"
            raise OptionError(msg)
        self.anchor_every = anchor_every

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        if self.anchor_every == 0 or len(self) == 0 or not torch.is_grad_enabled():
            for layer in _layers(self):
                x = layer(x)
            return x
        return _without_activations(self, x)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back."""
        for layer in reversed(_layers(self)):
            y = layer.inverse(y)
        return y

    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to the same shape, and return the log-determinant, (B,); everything is recorded."""
        total = x.new_zeros(x.shape[0])
        for layer in _layers(self):
            x, log_determinant = layer.with_log_determinant(x)
            total = total + log_determinant
        return x, total


def _layers(stack: InvertibleSequence) -> list[Invertible]:
    return [cast(Invertible, layer) for layer in stack]


def _without_activations(stack: InvertibleSequence, x: Tensor) -> Tensor:
    parameters = [parameter for parameter in stack.parameters() if parameter.requires_grad]
    kind = next(iter(stack.parameters())).dtype
    with torch.autocast(x.device.type, enabled=False):
        run: Callable[..., Tensor] = _Recomputed.apply
        return run(_layers(stack), stack.anchor_every, x.to(kind), *parameters)


class _Recomputed(Function):
    """The stack as one operation, which knows how to undo itself."""

    @staticmethod
    def forward(ctx: Any, layers: Sequence[Invertible], every: int, x: Tensor, *parameters: Tensor) -> Tensor:
        anchors = {}
        with torch.no_grad():
            for number, layer in enumerate(layers):
                if number % every == 0 and number > 0:
                    anchors[number] = x
                x = layer(x)
        ctx.layers, ctx.numbers = layers, list(anchors)
        ctx.parameters = [id(parameter) for parameter in parameters]  # hooks may hand back copies of what is saved
        ctx.save_for_backward(x, *anchors.values(), *parameters)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, *kept = ctx.saved_tensors
        anchors = dict(zip(ctx.numbers, kept, strict=False))
        sums: dict[int, Tensor] = {}
        with torch.autocast(gradient.device.type, enabled=False):
            for number in range(len(ctx.layers) - 1, -1, -1):
                layer = ctx.layers[number]
                with torch.no_grad():
                    x = anchors[number] if number in anchors else layer.inverse(y)
                y = x
                gradient = _through(layer, x, gradient, sums)
        wanted = ctx.needs_input_grad[3:]
        found = (sums.get(name) if asked else None for name, asked in zip(ctx.parameters, wanted, strict=True))
        return (None, None, gradient if ctx.needs_input_grad[2] else None, *found)


def _through(layer: Invertible, x: Tensor, gradient: Tensor, sums: dict[int, Tensor]) -> Tensor:
    """Go back through one layer: return the gradient of its input, and add those of its parameters to the sums."""
    own = list(cast(nn.Module, layer).parameters())
    of_x, *found = gradients_through(layer, x, own, gradient)
    for parameter, part in zip(own, found, strict=True):
        if part is not None:
            sums[id(parameter)] = part if id(parameter) not in sums else sums[id(parameter)] + part
    return cast(Tensor, of_x)
