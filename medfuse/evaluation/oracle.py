"""Evaluation: how good a fused image can be at all, found for single pairs by optimizing its pixels.

No network can do this, for it is not told what it will be judged by on the pair at hand. It bounds what can be
reached, and tells what is left to gain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics import (
    foreground_mask,
    source_edge_transfer,
    standard_deviation,
    structural_similarity,
    sum_of_correlations_of_differences,
    visual_information_fidelity,
)
from medfuse.metrics.edges import edge_strength
from medfuse.metrics.foreground import local_maximum
from medfuse.networks.rules import maximum

_STEPS = 150
_RATE = 2.0  # gray levels
_GRAY_LEVELS = 255.0
_NOT_SALIENT = 0.02 * _GRAY_LEVELS  # gray levels per pixel; no edge weaker than this is invented
_AGAINST_INVENTION = 20.0
_WEIGHTS = (2.0, 1.5, 3.0, 1.0, 2.0, 1.0, 1.0)  # of the measures in the order of ``_gain``
_OFFSET = 0.1  # keeps what is nearly lost from outweighing all else


def per_image_optimum(image: Tensor, steps: int = _STEPS) -> Tensor:
    """Optimize the pixels of fused images, starting from ``max``, by gradient ascent on differentiable measures.

    The gain is a weighted sum of logarithms, so that relative changes count, less what is invented. Outside the
    foreground nothing changes, so that no measure can be raised by noise in the empty air.

    Args:
        image: (N, 2, H, W) in [0, 1]; H and W at least 41.
        steps: of Adam (Kingma and Ba, "Adam: A method for stochastic optimization", ICLR 2015).

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    with torch.inference_mode(False), torch.enable_grad():
        levels = _GRAY_LEVELS * image.clone()  # a tensor of inference mode cannot be followed back
        first, second = levels.chunk(2, dim=1)
        start, allowed = maximum(levels), _edges_allowed(first, second)
        inside = foreground_mask(first, second, _GRAY_LEVELS)
        pixels = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([pixels], lr=_RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            fused = torch.where(inside, pixels, start)
            loss = _AGAINST_INVENTION * _invented(fused, allowed) - _gain(first, second, fused, inside)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                pixels.clamp_(0.0, _GRAY_LEVELS)
    return torch.where(inside, pixels, start).detach() / _GRAY_LEVELS


def _gain(first: Tensor, second: Tensor, fused: Tensor, inside: Tensor) -> Tensor:
    """Return what is wanted high for each image, (N,); what a blank source leaves undefined is constant.

    Fidelity and edges count for both sources together, and once more for the one that is kept worst.
    """
    fidelity = [visual_information_fidelity(source, fused, inside).nan_to_num(0.0) for source in (first, second)]
    edges = [source_edge_transfer(source, fused, inside).nan_to_num(0.0) for source in (first, second)]
    structure = [structural_similarity(source, fused, _GRAY_LEVELS, inside) for source in (first, second)]
    differences = sum_of_correlations_of_differences(first, second, fused)
    measures = torch.stack(
        [
            fidelity[0] + fidelity[1],
            torch.minimum(fidelity[0], fidelity[1]),
            edges[0] + edges[1],
            torch.minimum(edges[0], edges[1]),
            structure[0] + structure[1],
            differences.nan_to_num(0.0),
            standard_deviation(fused),
        ]
    )
    logarithms = (measures + _OFFSET).clamp_min(_OFFSET / 10.0).log()
    return torch.einsum("m,mn->n", measures.new_tensor(_WEIGHTS), logarithms)


def _edges_allowed(first: Tensor, second: Tensor) -> Tensor:
    """Return how strong an edge may be at each pixel without counting as invented: twice that of the sources near."""
    strongest = torch.maximum(edge_strength(first), edge_strength(second))
    return (2.0 * local_maximum(strongest, 1)).clamp_min(_NOT_SALIENT)


def _invented(fused: Tensor, allowed: Tensor) -> Tensor:
    """Return the share of the edge strength of each image (N,) that exceeds what is allowed; it has a derivative."""
    strength = edge_strength(fused)
    excess = (strength - allowed).clamp_min(0.0)
    return excess.flatten(1).sum(dim=1) / strength.flatten(1).sum(dim=1).clamp_min(1.0)
