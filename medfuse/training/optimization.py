"""Training: one optimizer for the four parts of the network, each clipped for itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from medfuse.networks import CDDFuse

_WARM_UP_STEPS = 20
_FINAL_RATE = 0.01  # of the highest learning rate


class PartwiseAdam:
    """Adam over the four parts of CDDFuse; the gradient of each is clipped apart from the others.

    The published recipe has an Adam for each part; one with four groups takes the same steps, bit for bit.

    Args:
        network: the network to train.
        learning_rate: the highest learning rate.
        clip_norm: the largest norm of the gradient of a part.
        steps: how many steps the schedule covers.
    """

    def __init__(self, network: CDDFuse, learning_rate: float, clip_norm: float, steps: int) -> None:
        self.parts = (network.encoder, network.decoder, network.base_fusion, network.detail_fusion)
        groups = [{"params": list(part.parameters())} for part in self.parts]
        self.adam = torch.optim.Adam(groups, lr=learning_rate)
        self.learning_rate, self.clip_norm, self.steps = learning_rate, clip_norm, steps
        self._taken = 0

    def step(self, loss: Tensor) -> bool:
        """Take a step down a scalar loss, and tell whether it could be taken.

        Without a finite loss and gradient the weights stay as they are.
        """
        for group in self.adam.param_groups:
            group["lr"] = self.learning_rate * rate(self._taken, self.steps)
        self._taken += 1
        self.adam.zero_grad()
        finite = bool(torch.isfinite(loss))
        if finite:
            loss.backward()  # type: ignore[no-untyped-call]
            norms = [nn.utils.clip_grad_norm_(part.parameters(), self.clip_norm) for part in self.parts]
            finite = bool(torch.isfinite(torch.stack(norms)).all())
        if finite:
            self.adam.step()
        return finite


def rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate at a step: a linear rise, then half a cosine.

    Args:
        step: the step, from 0.
        steps: how many steps there are.

    Returns:
        A number above 0, at most 1.
    """
    rise = min(1.0, (step + 1) / _WARM_UP_STEPS)
    fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, steps))))
    return rise * (_FINAL_RATE + (1.0 - _FINAL_RATE) * fall)
