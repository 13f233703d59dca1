"""A loss that asks the fused image to surpass the brighter-pixel rule, in each measure by which it is judged.

The published objective pulls towards ``max(first, second)``, so that rule is the best it can reach. Here the rule is
the mark, image by image: falling short of a margin over it costs, what lies beyond costs nothing. Sums over both
sources can hide the loss of one; therefore the source that is kept worst has marks of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.losses.entropy import soft_entropy
from medfuse.metrics.contrast import spatial_frequency, standard_deviation
from medfuse.metrics.correlation import sum_of_correlations_of_differences
from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.gradient import edge_transfer, source_edge_transfer
from medfuse.metrics.structure import structural_similarity

GRAY_LEVELS = 255.0
_SHARPNESS = 40.0  # of the bend between falling short and being beyond
_LEAST_MARK = 1e-3  # a mark below it is that of a blank source
_LARGEST_SHORTFALL = 2.0

Measure: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Goal:
    """How far a measure shall lie above that of the brighter-pixel rule.

    Attributes:
        margin: the mark, as a multiple of the rule's value.
        weight: of the shortfall, a share of the rule's value.
    """

    margin: float
    weight: float


def surpass_losses(fused: Tensor, first: Tensor, second: Tensor, goals: Mapping[str, Goal]) -> dict[str, Tensor]:
    """Return the weighted shortfall in each measure.

    Args:
        fused: (B, 1, H, W) in [0, 1]; H and W at least 41.
        first: the first source, same shape and range.
        second: the second source.
        goals: marks by the name of a measure, one of ``MEASURES``.

    Returns:
        A scalar, at least 0, by the name of the measure; images for which a measure is undefined do not count.
    """
    first, second, fused = GRAY_LEVELS * first, GRAY_LEVELS * second, GRAY_LEVELS * fused
    rule = torch.maximum(first, second)
    losses = {}
    for name, goal in goals.items():
        with torch.no_grad():
            mark = MEASURES[name](first, second, rule)
        losses[name] = goal.weight * _shortfall(MEASURES[name](first, second, fused), mark, goal.margin)
    return losses


def _shortfall(value: Tensor, mark: Tensor, margin: float) -> Tensor:
    """Average how far values (B,) are below a multiple of their marks, softly cut off at 0."""
    counts = torch.isfinite(value) & (mark > _LEAST_MARK)  # no NaN is above it
    mark = mark.masked_fill(~counts, 1.0)  # a NaN that only the result hid would spoil the gradient
    missing = (margin * mark - value) / mark
    missing = missing.masked_fill(~counts, 0.0).clamp_max(_LARGEST_SHORTFALL)
    return (F.softplus(_SHARPNESS * missing) / _SHARPNESS * counts).mean()


def _summed_fidelity(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    return visual_information_fidelity(first, fused) + visual_information_fidelity(second, fused)


def _worst_fidelity(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    return torch.minimum(visual_information_fidelity(first, fused), visual_information_fidelity(second, fused))


def _worst_edges(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    return torch.minimum(source_edge_transfer(first, fused), source_edge_transfer(second, fused))


def _deviation(_first: Tensor, _second: Tensor, fused: Tensor) -> Tensor:
    return standard_deviation(fused)


def _frequency(_first: Tensor, _second: Tensor, fused: Tensor) -> Tensor:
    return spatial_frequency(fused)


def _entropy(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    """Let only pixels that some source shows earn entropy: noise in the empty air would earn it most easily."""
    shown = torch.maximum(first, second) > 0.05 * GRAY_LEVELS
    return soft_entropy(torch.where(shown, fused, fused.detach()))


def _similarity(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    return sum(structural_similarity(source, fused, GRAY_LEVELS) for source in (first, second))  # type: ignore[return-value]


MEASURES: dict[str, Measure] = {
    "fidelity": _summed_fidelity,
    "worst_fidelity": _worst_fidelity,
    "edges": edge_transfer,
    "worst_edges": _worst_edges,
    "deviation": _deviation,
    "frequency": _frequency,
    "differences": sum_of_correlations_of_differences,
    "entropy": _entropy,
    "similarity": _similarity,
}
