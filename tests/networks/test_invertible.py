"""The invertible node: its shape, its inverse, its bound."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.networks.invertible import Bottleneck, InvertibleNode


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 8, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def node(scale_clamp: float) -> InvertibleNode:
    torch.manual_seed(0)
    return InvertibleNode(8, scale_clamp).double()


def inverse(coupling: InvertibleNode, y: Tensor) -> Tensor:
    """Undo a node by its definition; only the mixing needs a solve."""
    z1, z2 = y.chunk(2, dim=1)
    log_scale = coupling.rho(z2)
    if coupling.scale_clamp > 0.0:
        log_scale = coupling.scale_clamp * torch.tanh(log_scale / coupling.scale_clamp)
    z1 = (z1 - coupling.eta(z2)) * torch.exp(-log_scale)
    mixed = torch.cat([z1, z2 - coupling.phi(z1)], dim=1) - coupling.mix.bias[:, None, None]
    matrix = coupling.mix.weight[:, :, 0, 0]
    return torch.linalg.solve(matrix, mixed.flatten(2)).reshape(y.shape)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 8, 2, 2), (2, 8, 3, 7)])
def test_shape_is_kept(shape: tuple[int, ...]) -> None:
    assert node(0.0)(torch.zeros(shape, dtype=torch.float64)).shape == shape


@torch.no_grad()
@pytest.mark.parametrize("scale_clamp", [0.0, 0.5])
def test_a_node_can_be_undone(x: Tensor, scale_clamp: float) -> None:
    coupling = node(scale_clamp)
    torch.testing.assert_close(inverse(coupling, coupling(x)), x, atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_clamp_bounds_the_exponent(x: Tensor) -> None:
    free, bounded = node(0.0), node(0.5)
    for coupling in (free, bounded):
        coupling.rho.layers[-1].weight.mul_(1000.0)
        coupling.eta.layers[-1].weight.zero_()
    z1 = free.mix(x).chunk(2, dim=1)[0]
    log_scale = (bounded(x)[:, :4] / z1).log()
    assert (free(x)[:, :4] / z1).log().abs().max() > 1.0
    assert 0.45 < log_scale.abs().max() <= 0.5 + 1e-9


@torch.no_grad()
def test_a_wide_clamp_is_no_clamp(x: Tensor) -> None:
    torch.testing.assert_close(node(1e6)(x), node(0.0)(x), atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_bottleneck_looks_one_pixel_far(x: Tensor) -> None:
    torch.manual_seed(0)
    bottleneck = Bottleneck(8).double()
    moved = x.clone()
    moved[..., 0, 0] += 1.0
    changed = (bottleneck(moved) != bottleneck(x)).any(dim=1)
    assert changed[:, :2, :2].any()
    assert not changed[:, 2:, :].any()
    assert not changed[:, :, 2:].any()
