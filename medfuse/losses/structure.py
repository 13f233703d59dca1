"""Losses on edges that are in the fused image and in no source, or in a source and not in the fused image.

Forms with a derivative of the measures ``medfuse.metrics.invented_structure`` and ``lost_structure``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics.edges import edge_strength
from medfuse.metrics.foreground import local_maximum

_REACH = 1  # pixels
_SALIENT = 0.02  # of the range, per pixel
_FOUND = 0.5  # an edge is found where another is at least so strong, as a share
_KEPT = 0.6  # what the loss on lost edges asks for: a little more than that
_LEAST = 1e-3
_BLACK = 1e-6  # the squares of darker values underflow, and with them the derivative


def invented_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the share of the fused image's edge strength beyond twice what the sources have within 1 pixel.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar from 0 to 1.
    """
    strength = _edges_drawn(fused)
    sources = torch.maximum(edge_strength(first), edge_strength(second))
    beyond = (strength - local_maximum(sources, _REACH) / _FOUND).clamp_min(0.0)
    return _share(beyond, strength)


def lost_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return how much of the salient edge strength is missing of the source that loses more.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar from 0 to 1.
    """
    kept = local_maximum(_edges_drawn(fused), _REACH)
    lost = []
    for source in (first, second):
        strength = edge_strength(source)
        salient = strength * (strength >= _SALIENT)
        missing = (_KEPT * salient - kept).clamp_min(0.0)
        lost.append(missing.flatten(1).sum(dim=1) / salient.flatten(1).sum(dim=1).clamp_min(_LEAST))
    return torch.maximum(lost[0], lost[1]).mean()


def _edges_drawn(fused: Tensor) -> Tensor:
    return edge_strength(fused * (fused > _BLACK))


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return (part.flatten(1).sum(dim=1) / whole.flatten(1).sum(dim=1).clamp_min(_LEAST)).mean()
