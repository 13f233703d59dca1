"""Training with activations computed again: the same gradients, from much less memory."""

from __future__ import annotations

from dataclasses import replace

import torch
from benchmarks.saved_bytes import saved_bytes
from torch import Tensor

from medfuse.networks import CDDFuse, CDDFuseConfig

SMALL = CDDFuseConfig(channels=16, heads=2, blocks=2, detail_nodes=2)


def twins() -> tuple[CDDFuse, CDDFuse]:
    torch.manual_seed(0)
    recorded = CDDFuse(SMALL)
    recomputed = CDDFuse(replace(SMALL, memory="recomputed"))
    recomputed.load_state_dict(recorded.state_dict())
    return recorded, recomputed


def image() -> Tensor:
    return torch.rand(2, 2, 24, 20, generator=torch.Generator().manual_seed(1))


def test_gradients_are_the_same_bit_for_bit() -> None:
    recorded, recomputed = twins()
    for network in (recorded, recomputed):
        network(image()).square().mean().backward()
    for (name, weight), other in zip(recorded.named_parameters(), recomputed.parameters(), strict=True):
        assert weight.grad is not None, name
        assert torch.equal(weight.grad, other.grad), name


def test_less_than_a_quarter_of_the_activations_is_kept() -> None:
    recorded, recomputed = twins()
    assert saved_bytes(recomputed, image()) < 0.25 * saved_bytes(recorded, image())


def test_inference_is_the_same() -> None:
    recorded, recomputed = twins()
    with torch.no_grad():
        assert torch.equal(recorded(image()), recomputed(image()))
