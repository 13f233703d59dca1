"""Losses that ask for both sources: the one that is kept worst counts.

The published objective pulls towards the brighter source and may let the darker one go. These terms are
differentiable forms of the measures by which a fused image is judged.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.gradient import edge_transfer

_GRAY_LEVELS = 255.0


def worst_source_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return 1 minus the visual information fidelity of the source that each image keeps worst.

    Args:
        fused: (B, 1, H, W) in [0, 1]; H and W at least 41.
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar; images of which a source is blank do not count.
    """
    levels = _GRAY_LEVELS * fused.double()  # variances of dark ground cancel to noise in float32
    kept = [visual_information_fidelity(_GRAY_LEVELS * source.double(), levels) for source in (first, second)]
    return 1.0 - _mean_of_defined(torch.minimum(kept[0], kept[1])).to(fused.dtype)


def edge_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - Q^AB/F: strength and orientation of the sources' edges, weighted by strength.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar; images of which no source has an edge do not count.
    """
    kept = edge_transfer(_GRAY_LEVELS * first, _GRAY_LEVELS * second, _GRAY_LEVELS * fused)
    return 1.0 - _mean_of_defined(kept)


def _mean_of_defined(values: Tensor) -> Tensor:
    defined = values[torch.isfinite(values)]
    return defined.mean() if defined.numel() > 0 else values.new_zeros(())
