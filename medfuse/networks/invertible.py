"""Step 5 of 8, network: the invertible coupling that carries CDDFuse's detail features.

An affine coupling after a 1x1 mixing of all channels; see Ardizzone et al., "Analyzing Inverse Problems with
Invertible Neural Networks", ICLR 2019, and Zhao et al., CVPR 2023, section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """The small network inside a coupling: 1x1, ReLU6, reflected depthwise 3x3, ReLU6, 1x1.

    Args:
        channels: number of input and output channels.
        expansion: hidden width as a multiple of the channels.
    """

    def __init__(self, channels: int, expansion: int = 2) -> None:
        super().__init__()
        hidden = channels * expansion
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU6(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(hidden, hidden, 3, groups=hidden, bias=False),
            nn.ReLU6(),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W at least 2."""
        transformed: Tensor = self.layers(x)
        return transformed


class InvertibleNode(nn.Module):
    """One coupling: mix all channels, then move each half by a function of the other.

    ``z2 <- z2 + phi(z1)`` and ``z1 <- z1 * exp(rho(z2)) + eta(z2)``.

    Args:
        channels: number of channels C, even.
        scale_clamp: bound of the exponent, by ``clamp * tanh(rho / clamp)``; 0 leaves it unbounded, as
            published.
    """

    def __init__(self, channels: int, scale_clamp: float = 0.0) -> None:
        super().__init__()
        self.scale_clamp = scale_clamp
        self.mix = nn.Conv2d(channels, channels, 1)
        self.phi = Bottleneck(channels // 2)
        self.rho = Bottleneck(channels // 2)
        self.eta = Bottleneck(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W at least 2."""
        z1, z2 = self.mix(x).chunk(2, dim=1)  # each (B, C/2, H, W)
        z2 = z2 + self.phi(z1)
        z1 = z1 * torch.exp(self._log_scale(z2)) + self.eta(z2)
        return torch.cat([z1, z2], dim=1)

    def _log_scale(self, z2: Tensor) -> Tensor:
        rho: Tensor = self.rho(z2)
        if self.scale_clamp > 0.0:
            rho = self.scale_clamp * torch.tanh(rho / self.scale_clamp)
        return rho
