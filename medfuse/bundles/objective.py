"""Bundles: a network together with what it is trained for, as one module that MONAI's engines can run."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from medfuse.networks import CDDFuse, CDDFuseFast
from medfuse.training.options import TrainingOptions
from medfuse.training.stages import stage_one_terms, stage_two_terms


class TwoStageObjective(nn.Module):
    """While training, maps images to the weighted terms of the loss; in evaluation mode it is the network.

    The loss needs the features of both modalities, which the network's ``forward`` does not return. Through this module
    they stay inside one ``forward``, which is all that ``DistributedDataParallel`` sees.

    Args:
        network: the network to train.
        recipe: gives the weights of the terms, see ``medfuse.training.training_options``.
        stage_one_steps: that many training steps are of stage I (reconstruct), all further ones of stage II (fuse).
    """

    def __init__(self, network: CDDFuse | CDDFuseFast, recipe: TrainingOptions, stage_one_steps: int = 0) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.stage_one_steps = stage_one_steps
        self.steps_done = 0

    def forward(self, image: Tensor) -> Tensor:
        """Map images (N, 2, H, W) in [0, 1] to terms (number of terms,) while training, else to (N, 1, H, W)."""
        if not self.training:
            fused: Tensor = self.network(image)
            return fused
        terms = self._terms(image)
        self.steps_done += 1
        return torch.stack(list(terms.values()))

    def _terms(self, image: Tensor) -> dict[str, Tensor]:
        if self.steps_done < self.stage_one_steps:
            return stage_one_terms(cast(CDDFuse, self.network), image, self.recipe.stage_one)
        return stage_two_terms(self.network, image, self.recipe.stage_two)


def sum_of_terms(terms: Tensor, _target: Tensor | None = None) -> Tensor:
    """Return the loss: the sum of the terms that ``TwoStageObjective`` gives."""
    return terms.sum()
