"""Step 5 of 8, network: an invertible network of vectors, for inverse problems with few unknowns.

Ardizzone et al., "Analyzing Inverse Problems with Invertible Neural Networks", ICLR 2019.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from medfuse.errors import OptionError


class VectorFlow(nn.Module):
    """Couplings of vectors, each after a rotation that is drawn once and stays.

    Args:
        size: length D of the vectors, at least 2.
        nodes: number of couplings.
        hidden: width of the networks inside.
        clamp: bound of the exponents, above 0.

    Raises:
        OptionError: if the numbers make no network.
    """

    def __init__(self, size: int, nodes: int = 6, hidden: int = 64, clamp: float = 2.0) -> None:
        super().__init__()
        if size < 2 or nodes < 1 or hidden < 1 or not clamp > 0.0:
            msg = f"size is {size}, nodes {nodes}, hidden {hidden}, clamp {clamp}; give at least 2, 1, 1, and above 0"
            raise OptionError(msg)
        self.size = size
        self.nodes = nn.ModuleList(VectorNode(size, hidden, clamp) for _ in range(nodes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, D) to the same shape."""
        return self.with_log_determinant(x)[0]

    def inverse(self, y: Tensor) -> Tensor:
        """Map (N, D) back."""
        for node in reversed([cast(VectorNode, node) for node in self.nodes]):
            y = node.inverse(y)
        return y

    def with_log_determinant(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, D) to the same shape, and return the log-determinant of the Jacobian, (N,), beside it."""
        total = x.new_zeros(x.shape[0])
        for node in self.nodes:
            x, log_determinant = node(x)
            total = total + log_determinant
        return x, total


class VectorNode(nn.Module):
    """Rotate, then scale and shift each half by what the other half says.

    Args:
        size: length D of the vectors.
        hidden: width of the networks inside.
        clamp: bound of the exponents.
    """

    def __init__(self, size: int, hidden: int, clamp: float) -> None:
        super().__init__()
        self.halves = [size - size // 2, size // 2]
        self.clamp = clamp
        self.rotation: Tensor
        self.register_buffer("rotation", torch.linalg.qr(torch.randn(size, size)).Q)
        first, second = self.halves
        self.by_first = _perceptron(first, 2 * second, hidden)
        self.by_second = _perceptron(second, 2 * first, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, D) to the same shape, and return the log-determinant, (N,), beside it."""
        first, second = torch.split(x @ self.rotation.T, self.halves, dim=1)
        log_scale, shift = self._affine(self.by_first, first)
        second = second * torch.exp(log_scale) + shift
        total = log_scale.sum(dim=1) + torch.linalg.slogdet(self.rotation).logabsdet  # 0 within rounding
        log_scale, shift = self._affine(self.by_second, second)
        first = first * torch.exp(log_scale) + shift
        return torch.cat([first, second], dim=1), total + log_scale.sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """Map (N, D) back."""
        first, second = torch.split(y, self.halves, dim=1)
        log_scale, shift = self._affine(self.by_second, second)
        first = (first - shift) * torch.exp(-log_scale)
        log_scale, shift = self._affine(self.by_first, first)
        second = (second - shift) * torch.exp(-log_scale)
        undone: Tensor = torch.linalg.solve(self.rotation, torch.cat([first, second], dim=1).T).T
        return undone

    def _affine(self, network: nn.Module, half: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = network(half).chunk(2, dim=1)
        return self.clamp * torch.tanh(log_scale / self.clamp), shift


def _perceptron(inputs: int, outputs: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, outputs)
    )
