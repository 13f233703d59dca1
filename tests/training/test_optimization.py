"""One Adam of four groups takes the steps of four Adams, and no step that would spoil the weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from medfuse.networks import CDDFuse, CDDFuseConfig
from medfuse.training.optimization import PartwiseAdam, rate

CLIP = 0.01


@pytest.fixture
def network() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1))


def parts(network: CDDFuse) -> list[nn.Module]:
    return [network.encoder, network.decoder, network.base_fusion, network.detail_fusion]


def loss(network: CDDFuse, step: int) -> Tensor:
    image = torch.rand(2, 2, 12, 12, generator=torch.Generator().manual_seed(step))
    return (network(image) - image.amax(dim=1, keepdim=True)).square().mean()


def test_one_adam_equals_four_bit_for_bit(network: CDDFuse) -> None:
    four = copy.deepcopy(network)
    one = PartwiseAdam(network, 1e-3, CLIP, steps=3)
    adams = [torch.optim.Adam(part.parameters()) for part in parts(four)]
    for step in range(3):
        assert one.step(loss(network, step))
        four.zero_grad()
        loss(four, step).backward()
        for part, adam in zip(parts(four), adams, strict=True):
            nn.utils.clip_grad_norm_(part.parameters(), CLIP)
            adam.param_groups[0]["lr"] = 1e-3 * rate(step, 3)
            adam.step()
    for weight, expected in zip(network.parameters(), four.parameters(), strict=True):
        assert torch.equal(weight, expected)


def test_each_part_is_clipped_for_itself(network: CDDFuse) -> None:
    optimizer = PartwiseAdam(network, 1e-3, CLIP, steps=1)
    optimizer.step(1e4 * loss(network, 0))
    for part in parts(network):
        norm = torch.cat([weight.grad.flatten() for weight in part.parameters()]).norm().item()
        assert norm == pytest.approx(CLIP, rel=1e-3)


def infinite_gradient(network: CDDFuse) -> Tensor:
    """Return a finite loss whose gradient is not."""
    return torch.sqrt(0.0 * next(network.parameters()).sum())


@pytest.mark.parametrize("bad", [lambda network: loss(network, 0) * torch.nan, infinite_gradient])
def test_a_bad_step_leaves_the_weights(network: CDDFuse, bad: object) -> None:
    optimizer = PartwiseAdam(network, 1e-3, CLIP, steps=3)
    before = copy.deepcopy(network.state_dict())
    assert not optimizer.step(bad(network))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert optimizer.step(loss(network, 1))


def test_rate_rises_and_falls() -> None:
    rates = [rate(step, 100) for step in range(100)]
    top = rates.index(max(rates))
    assert 10 <= top < 30
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0.0 < min(rates) < 0.1 < max(rates) <= 1.0
