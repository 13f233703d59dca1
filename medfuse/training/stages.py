"""Training: the objectives of the two stages.

Stage I teaches the encoder and decoder to draw each modality from its own features; stage II teaches the fusion
layers. Zhao et al., "CDDFuse", CVPR 2023, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from medfuse import losses
from medfuse.networks import CDDFuse, CDDFuseFast, Features
from medfuse.training.options import StageOneWeights, StageTwoWeights

Terms: TypeAlias = dict[str, Tensor]
Teacher: TypeAlias = Callable[[Tensor], Tensor]


def stage_one_terms(network: CDDFuse, image: Tensor, weights: StageOneWeights) -> Terms:
    """Return the weighted terms of stage I.

    Args:
        network: the network in training.
        image: (B, 2, H, W) in [0, 1].
        weights: weights of the terms.

    Returns:
        Scalars by name; their sum is the loss.
    """
    first, second = image.chunk(2, dim=1)
    skip = network.skip != "none"
    drawn_first, features_first = network.reconstruct(first, skip)
    drawn_second, features_second = network.reconstruct(second, skip)
    with full_precision(image):
        drawn_first, drawn_second = drawn_first.float(), drawn_second.float()
        return {
            "reconstruction_first": losses.reconstruction_loss(first, drawn_first),
            "reconstruction_second": losses.reconstruction_loss(second, drawn_second),
            "decomposition": weights.decomposition * _decomposition(features_first, features_second),
            "gradient": weights.gradient * losses.gradient_difference(first, drawn_first),
        }


def stage_two_terms(
    network: CDDFuse | CDDFuseFast, image: Tensor, weights: StageTwoWeights, teacher: Teacher | None = None
) -> Terms:
    """Return the weighted terms of stage II; a term of weight 0 is left out.

    Args:
        network: the network in training.
        image: (B, 2, H, W) in [0, 1].
        weights: weights of the terms.
        teacher: draws the target of distillation.

    Returns:
        Scalars by name; their sum is the loss.
    """
    drawn, features_first, features_second = network.decompose_and_fuse(image)
    terms = picture_terms(drawn, image, weights, teacher)
    if weights.decomposition:
        with full_precision(image):
            terms["decomposition"] = weights.decomposition * _decomposition(features_first, features_second)
    return terms


def picture_terms(drawn: Tensor, image: Tensor, weights: StageTwoWeights, teacher: Teacher | None = None) -> Terms:
    """Return the weighted terms of stage II that depend on the fused picture alone; a term of weight 0 is left out.

    Args:
        drawn: the picture, (B, 1, H, W), not yet cut off at 0 and 1.
        image: (B, 2, H, W) in [0, 1].
        weights: weights of the terms.
        teacher: draws the target of distillation.

    Returns:
        Scalars by name.
    """
    first, second = image.chunk(2, dim=1)
    with full_precision(image):
        drawn = drawn.float()
        fused = drawn.clamp(0.0, 1.0)
        terms: dict[str, Callable[[], Tensor]] = {
            "intensity": lambda: losses.intensity_loss(fused, first, second),
            "gradient": lambda: losses.gradient_loss(fused, first, second),
            "invented": lambda: losses.invented_loss(fused, first, second),
            "lost": lambda: losses.lost_loss(fused, first, second),
            "overshoot": lambda: functional.l1_loss(drawn, fused),
        }
        weighted = {name: getattr(weights, name) * term() for name, term in terms.items() if getattr(weights, name)}
        if teacher is not None and weights.distillation:
            weighted["distillation"] = weights.distillation * losses.distillation_loss(fused, _shown_by(teacher, image))
        return {**weighted, **losses.surpass_losses(fused, first, second, weights.goals)}


def decomposition_correlations(first: Features, second: Features) -> dict[str, float]:
    """Return how far the base and the detail features of two modalities correlate, by ``"base"`` and ``"detail"``."""
    return {
        "base": losses.correlation(first.base.float(), second.base.float()).item(),
        "detail": losses.correlation(first.detail.float(), second.detail.float()).item(),
    }


@torch.no_grad()
def _shown_by(teacher: Teacher, image: Tensor) -> Tensor:
    return teacher(image).float()


def full_precision(image: Tensor) -> torch.autocast:
    """Leave autocast: losses take differences of like numbers, which bfloat16 cannot hold."""
    return torch.autocast(image.device.type, enabled=False)


def _decomposition(first: Features, second: Features) -> Tensor:
    return losses.decomposition_loss(
        first.base.float(), second.base.float(), first.detail.float(), second.detail.float()
    )
