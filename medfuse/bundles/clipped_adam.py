"""Bundles: the optimizer of medfuse's training as a torch optimizer, which MONAI's engines and schedulers can drive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from medfuse.training.optimization import rate


class ClippedAdam(torch.optim.Adam):
    """Adam over the parts of a network, its children; the gradient of each is clipped apart from the others.

    Takes the steps that ``medfuse.training.optimization.PartwiseAdam`` takes.

    Args:
        network: the network to train.
        lr: the highest learning rate.
        clip_norm: the largest norm of the gradient of a part.
    """

    def __init__(self, network: nn.Module, lr: float, clip_norm: float) -> None:
        parts = [list(part.parameters()) for part in network.children()]
        super().__init__([{"params": part} for part in parts if part], lr=lr)
        self.clip_norm = clip_norm

    def step(self, closure: Any = None) -> Any:
        """Clip and take a step; without a finite gradient the weights stay as they are."""
        norms = [nn.utils.clip_grad_norm_(group["params"], self.clip_norm) for group in self.param_groups]
        return super().step(closure) if bool(torch.isfinite(torch.stack(norms)).all()) else None


def stage_rates(stage_one_steps: int, stage_two_steps: int) -> Callable[[int], float]:
    """Return the share of the highest learning rate at each step of two stages, for ``LambdaLR``.

    Args:
        stage_one_steps: steps of stage I; 0 leaves it out.
        stage_two_steps: steps of stage II.
    """

    def share(step: int) -> float:
        if step < stage_one_steps:
            return rate(step, stage_one_steps)
        return rate(step - stage_one_steps, stage_two_steps)

    return share
