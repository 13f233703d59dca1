"""Training: the objective of the fusion that can be undone.

The fused picture is judged as that of any network; the latent shall be normal noise that knows nothing of the picture.
The two have no parameters in common.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse import losses
from medfuse.networks import Split, Unfusing
from medfuse.networks.wavelet import haar
from medfuse.training.options import StageTwoWeights
from medfuse.training.stages import Teacher, Terms, full_precision, picture_terms

_PLACES = 256  # of a batch, at which the discrepancy is estimated


def unfusing_terms(network: Unfusing, image: Tensor, weights: StageTwoWeights, teacher: Teacher | None = None) -> Terms:
    """Return the weighted terms of training; a term of weight 0 is left out.

    Args:
        network: the network in training.
        image: (B, 2, H, W) in [0, 1], H and W even.
        weights: weights of the terms.
        teacher: draws the target of distillation.

    Returns:
        Scalars by name; their sum is the loss.
    """
    split = network.split_for_training(image)
    terms = picture_terms(split.fused, image, weights, teacher)
    with full_precision(image):
        if weights.likelihood:
            terms["likelihood"] = weights.likelihood * losses.normality_loss(
                split.latent.float(), split.log_determinant.float()
            )
        if weights.discrepancy:
            terms["discrepancy"] = weights.discrepancy * latent_discrepancy(split)
    return terms


def latent_discrepancy(split: Split) -> Tensor:
    """Return how far fused image and latent together are from the same image with noise of its own.

    Args:
        split: the tensors of a batch; 256 places of it are drawn.

    Returns:
        A scalar from 0 to 2.
    """
    bands = haar(split.fused.detach().float()).movedim(1, -1).flatten(0, -2)  # (places, 4)
    latent = split.latent.float().movedim(1, -1).flatten(0, -2)
    places = torch.randint(len(bands), (_PLACES,), device=bands.device)
    found = torch.cat([bands[places], latent[places]], dim=1)
    wanted = torch.cat([bands[places], torch.randn_like(latent[places])], dim=1)
    return losses.maximum_mean_discrepancy(found, wanted)
