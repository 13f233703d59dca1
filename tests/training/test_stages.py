"""The objectives: weighted, without terms of weight 0, and in full precision whatever the network computes in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.losses import MEASURES, Goal
from medfuse.networks import CDDFuse, CDDFuseConfig, CDDFuseFast, CDDFuseFastConfig
from medfuse.training.options import StageOneWeights, StageTwoWeights
from medfuse.training.stages import stage_one_terms, stage_two_terms

ALL_GOALS = {name: Goal(1.1, 1.0) for name in MEASURES}
ALL_TERMS = StageTwoWeights(invented=6.0, lost=3.0, overshoot=2.0, distillation=1.0, goals=ALL_GOALS)
PUBLISHED_TERMS = {"intensity", "gradient", "decomposition"}


@pytest.fixture
def network() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1))


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 2, 48, 48, generator=torch.Generator().manual_seed(0))


def test_terms_are_weighted(network: CDDFuse, image: Tensor) -> None:
    once, thrice = (
        stage_two_terms(network, image, StageTwoWeights(w, w, w, w, w, w, w), lambda pair: pair[:, :1])
        for w in (1.0, 3.0)
    )
    assert set(once) == PUBLISHED_TERMS | {"invented", "lost", "overshoot", "distillation"}
    for name, term in once.items():
        assert thrice[name].item() == pytest.approx(3.0 * term.item())


def test_terms_of_weight_0_are_left_out(network: CDDFuse, image: Tensor) -> None:
    assert set(stage_two_terms(network, image, StageTwoWeights())) == PUBLISHED_TERMS
    assert set(stage_two_terms(network, image, StageTwoWeights(goals=ALL_GOALS))) == PUBLISHED_TERMS | set(MEASURES)


def test_a_teacher_alone_gives_no_gradient_to_itself(network: CDDFuse, image: Tensor) -> None:
    teacher = CDDFuseFast(CDDFuseFastConfig(channels=4))
    weights = StageTwoWeights(0.0, 0.0, 0.0, distillation=1.0)
    terms = stage_two_terms(network, image, weights, teacher)
    assert set(terms) == {"distillation"}
    terms["distillation"].backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert network.decoder.reduce.weight.grad is not None


def test_overshoot_is_what_lies_beyond_the_range(image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = CDDFuseFast(CDDFuseFastConfig(channels=4))
    features = fast.decompose_and_fuse(image)[1]
    monkeypatch.setattr(fast, "decompose_and_fuse", lambda pair: (pair[:, :1] * 0.0 + 1.25, features, features))
    assert stage_two_terms(fast, image, StageTwoWeights(overshoot=2.0))["overshoot"].item() == pytest.approx(0.5)


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
