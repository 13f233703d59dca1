"""The losses and their gradients equal the published recipe's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfuse.losses import (
    correlation,
    decomposition_loss,
    gradient_difference,
    gradient_loss,
    intensity_loss,
    reconstruction_loss,
    ssim_loss,
)
from medfuse.networks import CDDFuse, CDDFuseConfig, build
from medfuse.training.options import StageOneWeights, StageTwoWeights
from medfuse.training.stages import stage_one_terms, stage_two_terms


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "reference" / "cddfuse_losses.json").read_text())


@pytest.fixture(scope="module")
def image(shared: Path) -> Tensor:
    with np.load(shared / "reference" / "cddfuse_io.npz") as arrays:
        return torch.from_numpy(np.concatenate([arrays["a"], arrays["b"]], axis=1))


@pytest.fixture(scope="module")
def network(shared: Path) -> CDDFuse:
    return build("cddfuse", shared / "reference" / "cddfuse_random_checkpoint.pth", CDDFuseConfig(skip="first"))


@pytest.fixture(scope="module")
def values(network: CDDFuse, image: Tensor) -> dict[str, Tensor]:
    a, b = image.chunk(2, dim=1)
    with torch.no_grad():
        (drawn_a, in_a), (drawn_b, in_b) = network.reconstruct(a), network.reconstruct(b)
        fused = network(image)
        return {
            "cc_base": correlation(in_a.base, in_b.base),
            "cc_detail": correlation(in_a.detail, in_b.detail),
            "decomposition": decomposition_loss(in_a.base, in_b.base, in_a.detail, in_b.detail),
            "ssim_loss_a": ssim_loss(a, drawn_a),
            "ssim_loss_b": ssim_loss(b, drawn_b),
            "mse_a": reconstruction_loss(a, drawn_a) - 5.0 * ssim_loss(a, drawn_a),
            "mse_b": reconstruction_loss(b, drawn_b) - 5.0 * ssim_loss(b, drawn_b),
            "gradient": gradient_difference(a, drawn_a),
            "fusion_intensity": intensity_loss(fused, a, b),
            "fusion_gradient": gradient_loss(fused, a, b),
            "fusion_total": intensity_loss(fused, a, b) + 10.0 * gradient_loss(fused, a, b),
        }


@pytest.mark.parametrize(
    "name",
    [
        "cc_base",
        "cc_detail",
        "decomposition",
        "ssim_loss_a",
        "ssim_loss_b",
        "mse_a",
        "mse_b",
        "gradient",
        "fusion_intensity",
        "fusion_gradient",
        "fusion_total",
    ],
)
def test_loss_equals_the_published_one(values: dict[str, Tensor], expected: dict[str, Any], name: str) -> None:
    assert values[name].item() == pytest.approx(expected[name], rel=1e-5)


@pytest.mark.parametrize("stage", [1, 2])
def test_objective_and_gradient_equal_the_published_ones(
    network: CDDFuse, image: Tensor, expected: dict[str, Any], stage: int
) -> None:
    if stage == 1:
        terms = stage_one_terms(network, image, StageOneWeights())
    else:
        terms = stage_two_terms(network, image, StageTwoWeights())
    total = torch.stack(list(terms.values())).sum()
    network.zero_grad()
    total.backward()
    norms = {
        "encoder": norm_of_gradient(network.encoder),
        "decoder": norm_of_gradient(network.decoder),
        "base_fuse": norm_of_gradient(network.base_fusion),
        "detail_fuse": norm_of_gradient(network.detail_fusion),
    }
    assert total.item() == pytest.approx(expected[f"stage{stage}_total"], rel=1e-5)
    assert norms == pytest.approx(expected[f"stage{stage}_grad_norms"], rel=1e-4)


def norm_of_gradient(part: nn.Module) -> float:
    gradients = [weight.grad.flatten() for weight in part.parameters() if weight.grad is not None]
    return torch.cat(gradients).double().norm().item() if gradients else 0.0
