"""Step 5 of 8, network: invertible couplings, which carry CDDFuse's detail features.

A coupling after a 1x1 mixing of all channels; see Ardizzone et al., "Analyzing Inverse Problems with Invertible Neural
Networks", ICLR 2019, and Zhao et al., CVPR 2023, section 3.2. What goes in can be had back from what comes out, and the
determinant of the Jacobian is known exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medfuse.errors import OptionError
from medfuse.networks.native import NodeWeights, run_node
from medfuse.networks.recomputing import ComputedBlock

MIXINGS = ("free", "orthogonal")
ACTIVATIONS = {"relu6": nn.ReLU6, "silu": nn.SiLU}


class Mixing(nn.Conv2d):
    """A 1x1 convolution of all channels, named and stored as in published checkpoints.

    At its default initialization the condition number of such a matrix is in the hundreds: a stack of them can be
    inverted in theory only. ``OrthogonalMixing`` can in practice.

    Args:
        channels: number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1)

    @torch.jit.unused
    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back, by a solve in float64."""
        shifted = y.double() if self.bias is None else y.double() - self.bias.double()[:, None, None]
        solved: Tensor = torch.linalg.solve(self.weight[:, :, 0, 0].double(), shifted.flatten(2))
        return solved.reshape(y.shape).to(y.dtype)

    @torch.jit.unused
    def log_determinant(self) -> Tensor:
        """Return the logarithm of the absolute determinant at one pixel, a scalar."""
        found: Tensor = torch.linalg.slogdet(self.weight[:, :, 0, 0].double()).logabsdet
        return found.to(self.weight.dtype)


class OrthogonalMixing(nn.Module):
    """A rotation of all channels, which stays one during training: its inverse is its transpose.

    The rotation is the matrix exponential of a skew-symmetric matrix, so it is one in any number type.

    Args:
        channels: number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.generator = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return torch.conv2d(x, self.rotation()[:, :, None, None], self.bias)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back."""
        return torch.conv2d(y - self.bias[:, None, None], self.rotation().T[:, :, None, None])

    def log_determinant(self) -> Tensor:
        """Return the logarithm of the absolute determinant at one pixel: 0."""
        return self.bias.new_zeros(())

    def rotation(self) -> Tensor:
        """Return the (C, C) orthogonal matrix."""
        matrix: Tensor = torch.linalg.matrix_exp(self.generator - self.generator.T)
        return matrix


class Bottleneck(nn.Module):
    """The small network inside a coupling: 1x1, activation, reflected depthwise 3x3, activation, 1x1.

    Args:
        channels: number of input and output channels.
        expansion: hidden width as a multiple of the channels.
        activation: ``"relu6"``, as published, or ``"silu"``: in a deep stack whose inputs are computed again, rounding
            takes a value over a kink of ReLU6 now and then, and the gradient jumps.

    Raises:
        OptionError: if there is no such activation.
    """

    def __init__(self, channels: int, expansion: int = 2, activation: str = "relu6") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            msg = f"activation is {activation!r}; choose one of {', '.join(ACTIVATIONS)}"
            raise OptionError(msg)
        self.activation = activation
        hidden, active = channels * expansion, ACTIVATIONS[activation]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            active(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(hidden, hidden, 3, groups=hidden, bias=False),
            active(),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W at least 2."""
        transformed: Tensor = self.layers(x)
        return transformed


class InvertibleNode(ComputedBlock):
    """One affine coupling: mix all channels, then move each half by a function of the other.

    ``z2 <- z2 + phi(z1)`` and ``z1 <- z1 * exp(rho(z2)) + eta(z2)``.

    Args:
        channels: number of channels C, even.
        scale_clamp: bound of the exponent, by ``clamp * tanh(rho / clamp)``; 0 leaves it unbounded, as
            published.
        mixing: ``"free"``, as published, or ``"orthogonal"``, for stacks that have to be inverted.
        activation: inside the functions, ``"relu6"`` as published or ``"silu"``; see ``Bottleneck``.

    Raises:
        OptionError: if the channels are odd, or there is no such mixing or activation.
    """

    def __init__(
        self, channels: int, scale_clamp: float = 0.0, mixing: str = "free", activation: str = "relu6"
    ) -> None:
        super().__init__()
        self.scale_clamp = scale_clamp
        self.mix = make_mixing(channels, mixing)
        self.phi = Bottleneck(channels // 2, activation=activation)
        self.rho = Bottleneck(channels // 2, activation=activation)
        self.eta = Bottleneck(channels // 2, activation=activation)

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        return run_node(self, x, self._weights)

    def _compute(self, x: Tensor) -> Tensor:
        return self._couple(x)[0]

    @torch.jit.unused
    def _weights(self) -> NodeWeights | None:
        """Return the weights for the kernel: None if it does not know the activation."""
        if self.phi.activation != "relu6" or self.mix.bias is None:
            return None
        mixing = self.mix.weight[:, :, 0, 0] if isinstance(self.mix, Mixing) else self.mix.rotation()
        return NodeWeights(
            mixing,
            self.mix.bias,
            tuple(tuple(function.parameters()) for function in (self.phi, self.rho, self.eta)),
            self.scale_clamp,
        )

    @torch.jit.unused
    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back: ``inverse(forward(x))`` is x within rounding."""
        z1, z2 = y.chunk(2, dim=1)
        z1 = (z1 - self.eta(z2)) * torch.exp(-self._log_scale(z2))
        undone: Tensor = self.mix.inverse(torch.cat([z1, z2 - self.phi(z1)], dim=1))
        return undone

    @torch.jit.unused
    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to the same shape, and return the log-determinant of the whole map, (B,), beside it."""
        y, log_scale = self._couple(x)
        return y, log_scale.flatten(1).sum(dim=1) + self.mix.log_determinant() * (x.shape[2] * x.shape[3])

    def _couple(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the result and the exponent, (B, C/2, H, W)."""
        z1, z2 = self.mix(x).chunk(2, dim=1)  # each (B, C/2, H, W)
        z2 = z2 + self.phi(z1)
        log_scale = self._log_scale(z2)
        return torch.cat([z1 * torch.exp(log_scale) + self.eta(z2), z2], dim=1), log_scale

    def _log_scale(self, z2: Tensor) -> Tensor:
        rho: Tensor = self.rho(z2)
        if self.scale_clamp > 0.0:
            rho = self.scale_clamp * torch.tanh(rho / self.scale_clamp)
        return rho


class AdditiveNode(nn.Module):
    """One additive coupling, which keeps volumes: ``z2 <- z2 + phi(z1)`` and ``z1 <- z1 + eta(z2)``.

    Dinh et al., "NICE: Non-linear Independent Components Estimation", ICLR workshop 2015.

    Args:
        channels: number of channels C, even.
        mixing: as for ``InvertibleNode``.
        activation: as for ``InvertibleNode``.

    Raises:
        OptionError: if the channels are odd, or there is no such mixing or activation.
    """

    def __init__(self, channels: int, mixing: str = "orthogonal", activation: str = "silu") -> None:
        super().__init__()
        self.mix = make_mixing(channels, mixing)
        self.phi = Bottleneck(channels // 2, activation=activation)
        self.eta = Bottleneck(channels // 2, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W at least 2."""
        z1, z2 = self.mix(x).chunk(2, dim=1)  # each (B, C/2, H, W)
        z2 = z2 + self.phi(z1)
        return torch.cat([z1 + self.eta(z2), z2], dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (B, C, H, W) back."""
        z1, z2 = y.chunk(2, dim=1)
        z1 = z1 - self.eta(z2)
        undone: Tensor = self.mix.inverse(torch.cat([z1, z2 - self.phi(z1)], dim=1))
        return undone

    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W) to the same shape, and return the log-determinant of the whole map, (B,), beside it."""
        per_pixel = self.mix.log_determinant() * (x.shape[2] * x.shape[3])
        return self(x), per_pixel.expand(x.shape[0])


def make_mixing(channels: int, mixing: str) -> Mixing | OrthogonalMixing:
    """Make the layer that mixes all channels before a coupling.

    Raises:
        OptionError: if the channels are odd or there is no such mixing.
    """
    if channels < 2 or channels % 2:
        msg = f"channels is {channels}; a coupling moves one half by the other, so give an even number"
        raise OptionError(msg)
    if mixing not in MIXINGS:
        msg = f"mixing is {mixing!r}; choose one of {', '.join(MIXINGS)}"
        raise OptionError(msg)
    return Mixing(channels) if mixing == "free" else OrthogonalMixing(channels)
