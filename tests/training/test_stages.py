"""The objectives: weighted, without terms of weight 0, and in full precision whatever the network computes in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.networks import CDDFuse, CDDFuseConfig
from medfuse.training.options import StageOneWeights, StageTwoWeights
from medfuse.training.stages import stage_one_terms, stage_two_terms

ALL_TERMS = StageTwoWeights(worst_source=6.0, edge=3.0)


@pytest.fixture
def network() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1))


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 2, 48, 48, generator=torch.Generator().manual_seed(0))


def test_terms_are_weighted(network: CDDFuse, image: Tensor) -> None:
    once = stage_two_terms(network, image, StageTwoWeights(1.0, 1.0, 1.0, 1.0, 1.0))
    thrice = stage_two_terms(network, image, StageTwoWeights(3.0, 3.0, 3.0, 3.0, 3.0))
    assert set(once) == {"intensity", "fusion_gradient", "decomposition", "worst_source", "edge"}
    for name, term in once.items():
        assert thrice[name].item() == pytest.approx(3.0 * term.item())


def test_terms_of_weight_0_are_left_out(network: CDDFuse, image: Tensor) -> None:
    assert set(stage_two_terms(network, image, StageTwoWeights())) == {
        "intensity",
        "fusion_gradient",
        "decomposition",
    }


def test_losses_are_computed_outside_autocast(network: CDDFuse, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network whose outputs bfloat16 holds exactly, autocast changes nothing."""
    exact = image.bfloat16().float()
    features = network.encoder(exact[:, :1])
    monkeypatch.setattr(network, "reconstruct", lambda source, _skip: (source.flip(-1), features))
    monkeypatch.setattr(network, "decompose_and_fuse", lambda _image: (exact[:, :1].flip(-1), features, features))
    for objective, weights in ((stage_one_terms, StageOneWeights()), (stage_two_terms, ALL_TERMS)):
        expected = objective(network, exact, weights)
        with torch.autocast("cpu", torch.bfloat16):
            found = objective(network, exact, weights)
        for name, term in found.items():
            assert term.dtype == torch.float32
            assert torch.equal(term, expected[name])


@pytest.mark.parametrize("blank", [[0], [1], [0, 1]])
def test_blank_sources_give_finite_gradients(network: CDDFuse, image: Tensor, blank: list[int]) -> None:
    image[0, blank] = 0.0
    for objective, weights in ((stage_one_terms, StageOneWeights()), (stage_two_terms, ALL_TERMS)):
        network.zero_grad()
        torch.stack(list(objective(network, image, weights).values())).sum().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is None or torch.isfinite(weight.grad).all(), name
