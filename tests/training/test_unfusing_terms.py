"""The objective of the fusion that can be undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from medfuse.networks import Unfusing, UnfusingConfig, build, read_provenance
from medfuse.training import TrainingOptions, train
from medfuse.training.options import StageTwoWeights
from medfuse.training.presets import training_options
from medfuse.training.stages import picture_terms
from medfuse.training.unfusing import latent_discrepancy, unfusing_terms

SMALL = UnfusingConfig(fusing_nodes=1, latent_nodes=1, hidden=4)
LATENT = StageTwoWeights(intensity=0.0, gradient=0.0, decomposition=0.0, likelihood=1.0, discrepancy=1.0)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 2, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> Unfusing:
    torch.manual_seed(0)
    return Unfusing(SMALL)


def test_terms_are_those_of_the_picture_and_of_the_latent(network: Unfusing, image: Tensor) -> None:
    weights = replace(LATENT, intensity=1.0, gradient=2.0, decomposition=3.0)
    terms = unfusing_terms(network, image, weights)
    assert set(terms) == {"intensity", "gradient", "likelihood", "discrepancy"}
    pictured = picture_terms(network.split(image).fused, image, weights)
    assert terms["gradient"].item() == pytest.approx(pictured["gradient"].item())
    assert set(unfusing_terms(network, image, StageTwoWeights())) == {"intensity", "gradient"}


def test_terms_are_weighted(network: Unfusing, image: Tensor) -> None:
    found = []
    for weight in (1.0, 3.0):
        torch.manual_seed(1)
        found.append(unfusing_terms(network, image, replace(LATENT, likelihood=weight, discrepancy=weight)))
    for name, term in found[0].items():
        assert found[1][name].item() == pytest.approx(3.0 * term.item(), rel=1e-5)


def test_training_makes_the_latent_normal(network: Unfusing, image: Tensor) -> None:
    optimizer = torch.optim.Adam(network.latent.parameters(), lr=1e-2)
    with torch.no_grad():
        before = latent_discrepancy(network.split(image)).item()
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(unfusing_terms(network, image, LATENT).values())).sum().backward()
        optimizer.step()
    with torch.no_grad():
        split = network.split(image)
    assert before > 0.2
    assert latent_discrepancy(split).item() < 0.1
    assert 0.8 < float(split.latent.std()) < 1.25


def test_it_is_trained_as_other_networks_are(slices: Path, tiny: TrainingOptions, tmp_path: Path) -> None:
    stage_two = replace(LATENT, intensity=1.0)
    options = replace(tiny, architecture="unfusing", network=SMALL, stage_one_steps=0, stage_two=stage_two)
    record = train(slices, tmp_path / "mine.safetensors", options, "medfuse train")
    assert set(record.curve[-1]["loss"]) == {"intensity", "likelihood", "discrepancy"}
    assert record.curve[-1]["correlation"] == {}
    assert isinstance(build("unfusing", tmp_path / "mine.safetensors"), Unfusing)
    assert read_provenance(tmp_path / "mine.safetensors")["options"]["architecture"] == "unfusing"


def test_its_recipe_can_be_read() -> None:
    options = training_options("unfusing_cpu")
    assert options.architecture == "unfusing"
    assert options.network == UnfusingConfig()
    assert options.stage_two.likelihood > 0.0
