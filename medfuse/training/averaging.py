"""Training: the exponential moving average of the weights, which is judged and saved in place of the last ones.

Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
Optimization 30 (1992).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a network whose weights follow it slowly; ``update_parameters`` after each step.

    Args:
        network: the network to follow.
        decay: share of the average that a step keeps, above 0 and below 1. The first steps keep less, so that the
            weights from before the training are soon forgotten.
    """

    def follow(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        kept = min(decay, (1.0 + float(steps)) / (10.0 + float(steps)))
        return average.lerp(current.detach(), 1.0 - kept)

    return AveragedModel(network, avg_fn=follow)
