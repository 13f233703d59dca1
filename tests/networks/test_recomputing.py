"""Training with activations computed again: the same gradients, from much less memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from benchmarks.saved_bytes import saved_bytes
from torch import Tensor

from medfuse.networks import CDDFuse, CDDFuseConfig
from medfuse.networks.native import without_kernels
from medfuse.networks.recomputing import train_by_kernels

SMALL = CDDFuseConfig(channels=16, heads=2, blocks=2, detail_nodes=2)


def twins() -> tuple[CDDFuse, CDDFuse]:
    torch.manual_seed(0)
    recorded = CDDFuse(SMALL)
    recomputed = CDDFuse(replace(SMALL, memory="recomputed"))
    recomputed.load_state_dict(recorded.state_dict())
    return recorded, recomputed


def image() -> Tensor:
    return torch.rand(2, 2, 24, 20, generator=torch.Generator().manual_seed(1))


def gradients(network: CDDFuse) -> dict[str, Tensor]:
    network(image()).square().mean().backward()
    found = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    assert found.keys() == dict(network.named_parameters()).keys()
    return found


def test_gradients_are_the_same_bit_for_bit_without_kernels() -> None:
    with without_kernels():
        recorded, recomputed = (gradients(network) for network in twins())
    for name, gradient in recorded.items():
        assert torch.equal(gradient, recomputed[name]), name


def test_gradients_are_the_same_within_rounding() -> None:
    recorded, recomputed = (gradients(network) for network in twins())
    for name, gradient in recorded.items():
        assert (gradient - recomputed[name]).norm() < 2e-5 * gradient.norm(), name


def test_kernels_train_what_they_can_and_autograd_records_the_rest() -> None:
    recorded, _ = twins()
    everything = saved_bytes(recorded, image())
    train_by_kernels(recorded)
    assert saved_bytes(recorded, image()) < 0.6 * everything, "only the nodes are too narrow for the kernels"
    with without_kernels():
        assert saved_bytes(recorded, image()) == everything


def test_weights_that_need_no_gradient_get_none() -> None:
    _, network = twins()
    frozen = [weight for name, weight in network.named_parameters() if "norm" in name or name.endswith("mix.bias")]
    for weight in frozen:
        weight.requires_grad_(False)
    network(image()).square().mean().backward()
    assert all(weight.grad is None for weight in frozen)
    assert network.encoder.patch_embedding.proj.weight.grad is not None


def test_weights_that_change_before_the_way_back_are_noticed() -> None:
    _, network = twins()
    loss = network(image()).square().mean()
    with torch.no_grad():
        network.decoder.blocks[0].norm1.body.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_less_than_a_quarter_of_the_activations_is_kept() -> None:
    recorded, recomputed = twins()
    assert saved_bytes(recomputed, image()) < 0.25 * saved_bytes(recorded, image())


def test_inference_is_the_same() -> None:
    recorded, recomputed = twins()
    with torch.no_grad():
        assert torch.equal(recorded(image()), recomputed(image()))
