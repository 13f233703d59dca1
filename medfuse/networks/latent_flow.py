"""Step 5 of 8, network: a conditional flow, which turns what a fused image lacks into normal noise, and back.

Ardizzone et al., "Guided Image Generation with Conditional Invertible Neural Networks", 2019.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.networks.invertible import OrthogonalMixing
from medfuse.networks.wavelet import BANDS

_SLOPE = 0.1
_REACHES = (1, 2, 4, 8)
_SPREAD = 0.05  # of the remainder before training


class LatentFlow(nn.Module):
    """Turn the remainder into normal noise, given the fused image.

    Args:
        nodes: number of couplings.
        hidden: channels of the context, and inside the couplings.
        clamp: bound of the exponent that first scales the remainder; those of the couplings are bounded by 1.
    """

    def __init__(self, nodes: int, hidden: int, clamp: float) -> None:
        super().__init__()
        self.clamp = clamp
        self.context = Context(hidden)
        self.standard = silent(nn.Conv2d(hidden, 2 * BANDS, 3, padding=1))
        self.nodes = nn.ModuleList(LatentNode(hidden) for _ in range(nodes))

    def forward(self, rest: Tensor, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Map the remainder to the latent.

        Args:
            rest: (N, 4, H/2, W/2).
            fused: wavelet bands of the fused image, same shape.

        Returns:
            The latent, same shape, and the log-determinant, (N,).
        """
        context, center, log_scale = self._prepared(fused)
        x = (rest - center) * torch.exp(-log_scale) / _SPREAD
        total = -log_scale.flatten(1).sum(dim=1) - x[0].numel() * torch.log(x.new_tensor(_SPREAD))
        for node in self.nodes:
            x, log_determinant = node(x, context)
            total = total + log_determinant
        return x, total

    def inverse(self, latent: Tensor, fused: Tensor) -> Tensor:
        """Map the latent back to the remainder."""
        context, center, log_scale = self._prepared(fused)
        for node in reversed([cast(LatentNode, node) for node in self.nodes]):
            latent = node.inverse(latent, context)
        return latent * torch.exp(log_scale) * _SPREAD + center

    def _prepared(self, fused: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is seen in the fused image, and the center and logarithmic scale of the remainder."""
        context = self.context(fused)
        center, log_scale = self.standard(context).chunk(2, dim=1)
        return context, center, _clamped(log_scale, self.clamp)


class Context(nn.Module):
    """What the fused image shows around each place, by convolutions that reach ever farther.

    Args:
        hidden: number of channels.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(BANDS, hidden, 3, padding=1)
        self.wider = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=reach, dilation=reach) for reach in _REACHES)

    def forward(self, fused: Tensor) -> Tensor:
        """Map wavelet bands (N, 4, H/2, W/2) to (N, hidden, H/2, W/2)."""
        seen = F.leaky_relu(self.enter(fused), _SLOPE)
        for wider in self.wider:
            seen = seen + F.leaky_relu(wider(seen), _SLOPE)
        return seen


class LatentNode(nn.Module):
    """A coupling of 4 bands that also sees the context; it begins as a rotation.

    Args:
        hidden: number of channels of the context, and inside.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.mix = OrthogonalMixing(BANDS)
        half = BANDS // 2
        self.second, self.first = (Plain(half + hidden, 2 * half, hidden) for _ in range(2))

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 4, H, W) to the same shape, and return the log-determinant, (N,), beside it."""
        x1, x2 = self.mix(x).chunk(2, dim=1)  # each (N, 2, H, W)
        log_scale, shift = _affine(self.second, x1, context)
        x2 = x2 * torch.exp(log_scale) + shift
        other_log_scale, shift = _affine(self.first, x2, context)
        x1 = x1 * torch.exp(other_log_scale) + shift
        return torch.cat([x1, x2], dim=1), (log_scale + other_log_scale).flatten(1).sum(dim=1)

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """Map (N, 4, H, W) back."""
        y1, y2 = y.chunk(2, dim=1)
        log_scale, shift = _affine(self.first, y2, context)
        y1 = (y1 - shift) * torch.exp(-log_scale)
        log_scale, shift = _affine(self.second, y1, context)
        y2 = (y2 - shift) * torch.exp(-log_scale)
        return self.mix.inverse(torch.cat([y1, y2], dim=1))


class Plain(nn.Sequential):
    """What is inside a latent coupling: three convolutions, which begin as 0.

    Args:
        inputs: number of input channels.
        outputs: number of output channels.
        hidden: number of channels inside.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, hidden, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(hidden, hidden, 1),
            nn.LeakyReLU(_SLOPE),
            silent(nn.Conv2d(hidden, outputs, 3, padding=1)),
        )


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a layer that was made to give 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _affine(network: nn.Module, half: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    log_scale, shift = network(torch.cat([half, context], dim=1)).chunk(2, dim=1)
    return _clamped(log_scale, 1.0), shift


def _clamped(exponent: Tensor, clamp: float) -> Tensor:
    return clamp * torch.tanh(exponent / clamp)
