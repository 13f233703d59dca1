"""Training: the objectives of the two stages.

Stage I teaches the encoder and decoder to draw each modality from its own features; stage II teaches the fusion
layers. Zhao et al., "CDDFuse", CVPR 2023, section 3.4.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from medfuse import losses
from medfuse.networks import CDDFuse, Features
from medfuse.training.options import StageOneWeights, StageTwoWeights

Terms: TypeAlias = dict[str, Tensor]


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
    with _full_precision(image):
        drawn_first, drawn_second = drawn_first.float(), drawn_second.float()
        return {
            "reconstruction_first": losses.reconstruction_loss(first, drawn_first),
            "reconstruction_second": losses.reconstruction_loss(second, drawn_second),
            "decomposition": weights.decomposition * _decomposition(features_first, features_second),
            "gradient": weights.gradient * losses.gradient_difference(first, drawn_first),
        }


def stage_two_terms(network: CDDFuse, image: Tensor, weights: StageTwoWeights) -> Terms:
    """Return the weighted terms of stage II; a term of weight 0 is left out.

    Args:
        network: the network in training.
        image: (B, 2, H, W) in [0, 1].
        weights: weights of the terms.

    Returns:
        Scalars by name; their sum is the loss.
    """
    first, second = image.chunk(2, dim=1)
    fused, features_first, features_second = network.decompose_and_fuse(image)
    with _full_precision(image):
        fused = fused.float()
        terms = {
            "intensity": weights.intensity * losses.intensity_loss(fused, first, second),
            "fusion_gradient": weights.gradient * losses.gradient_loss(fused, first, second),
            "decomposition": weights.decomposition * _decomposition(features_first, features_second),
        }
        if weights.worst_source > 0.0:
            terms["worst_source"] = weights.worst_source * losses.worst_source_loss(fused, first, second)
        if weights.edge > 0.0:
            terms["edge"] = weights.edge * losses.edge_loss(fused, first, second)
        return terms


def _full_precision(image: Tensor) -> torch.autocast:
    """Leave autocast: losses take differences of like numbers, which bfloat16 cannot hold."""
    return torch.autocast(image.device.type, enabled=False)


def _decomposition(first: Features, second: Features) -> Tensor:
    return losses.decomposition_loss(
        first.base.float(), second.base.float(), first.detail.float(), second.detail.float()
    )
