"""Training: one optimizer for the parts of a network, each clipped for itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 20
_FINAL_RATE = 0.01  # of the highest learning rate


class PartwiseAdam:
    """Adam over the parts of a network, its children; the gradient of each is clipped apart from the others.

    The published recipe has an Adam for each of the four parts of CDDFuse; one with four groups takes the same steps,
    bit for bit.

    Args:
        network: the network to train.
        learning_rate: the highest learning rate.
        clip_norm: the largest norm of the gradient of a part.
        steps: how many steps the schedule covers.
        add_up: sums gradients over the processes that share the work, in place; None where there is one.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        clip_norm: float,
        steps: int,
        add_up: Callable[[list[Tensor]], None] | None = None,
    ) -> None:
        self.parts = [part for part in network.children() if any(True for _ in part.parameters())]
        self.adam = torch.optim.Adam([{"params": list(part.parameters())} for part in self.parts], lr=learning_rate)
        self.learning_rate, self.clip_norm, self.steps = learning_rate, clip_norm, steps
        self._add_up = add_up
        self._taken = 0

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.learning_rate * rate(self._taken, self.steps)

    def step(self, loss: Tensor) -> bool:
        """Take a step down a scalar loss, and tell whether it could be taken.

        Without a finite loss and gradient the weights stay as they are.
        """
        for group in self.adam.param_groups:
            group["lr"] = self.rate
        self._taken += 1
        self.adam.zero_grad()
        finite = bool(torch.isfinite(loss))
        if finite:
            loss.backward()  # type: ignore[no-untyped-call]
            finite = self._clip()
        if finite:
            self.adam.step()
        return finite

    def _clip(self) -> bool:
        """Clip the gradient of each part, and tell whether all are finite."""
        if self._add_up is not None:
            self._add_up([each.grad for part in self.parts for each in part.parameters() if each.grad is not None])
        norms = [nn.utils.clip_grad_norm_(part.parameters(), self.clip_norm) for part in self.parts]
        return bool(torch.isfinite(torch.stack(norms)).all())

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` needs to go on at the same place."""
        return {"adam": self.adam.state_dict(), "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another optimizer of the same network was."""
        self.adam.load_state_dict(state["adam"])
        self._taken = state["taken"]


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
