"""Step 5 of 8, network: the feed-forward weights of a block in the arrangement of the kernels, and back.

The kernels want hidden maps in whole vectors, and of groups of two the first maps together and then the second ones, so
that partners lie a fixed way apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medfuse.networks.native.block_weights import BlockWeights
from medfuse.networks.native.packing import packed_depthwise, padded_rows


class ArrangedFeedForward(NamedTuple):
    """Feed-forward weights, or their gradients, in the arrangement of the kernels.

    Attributes:
        into: (2 hidden, C).
        spreads: the 3x3 weights of each hidden map for itself, and in groups of two for its partner: (2 hidden, 3, 3)
            each.
        out: (C, hidden).
    """

    into: Tensor
    spreads: tuple[Tensor, ...]
    out: Tensor

    @property
    def hidden(self) -> int:
        """How many maps are left by the gate."""
        return self.out.shape[1]

    @property
    def partner(self) -> int:
        """How far apart the maps of a group lie; 0 without groups."""
        return self.hidden // 2 if len(self.spreads) == 2 else 0

    def packed_spread(self) -> Tensor:
        """Return the 3x3 weights in the order of the kernels."""
        return torch.cat([packed_depthwise(spread) for spread in self.spreads])

    def packed_turned(self) -> Tensor:
        """Return the 3x3 weights of the way back, from results to what they were made of."""
        own, *others = (spread.flip(1, 2) for spread in self.spreads)
        # What a map gave to its partner comes back by the partner's weights.
        swapped = [other.view(2, 2, -1, 3, 3).flip(1).flatten(0, 2) for other in others]
        return torch.cat([packed_depthwise(spread) for spread in (own, *swapped)])


def arrange(w: BlockWeights, width: int) -> ArrangedFeedForward:
    """Arrange the weights of a block.

    Args:
        w: the weights.
        width: floats in a vector of the processor.
    """
    into, out = w.project_in[:, :, 0, 0], w.project_out[:, :, 0, 0]
    if w.spread.shape[1] == 2:
        first, own, other = _places(w)
        spreads = (w.spread[first, own], w.spread[first, other])
        return ArrangedFeedForward(into[first], spreads, out[:, first[: w.project_out.shape[1]]])
    wide = -(-out.shape[1] // width) * width  # the hidden maps that are added are 0
    into, spread = (
        torch.cat([padded_rows(half, wide) for half in weight.chunk(2)]) for weight in (into, w.spread[:, 0])
    )
    return ArrangedFeedForward(into, (spread,), padded_rows(out.T, wide).T)


def rearrange(gradients: ArrangedFeedForward, w: BlockWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Bring gradients into the shapes of ``project_in``, ``spread`` and ``project_out``.

    Args:
        gradients: in the arrangement of the kernels.
        w: the weights of the block.
    """
    hidden = w.project_out.shape[1]
    if w.spread.shape[1] == 2:
        first, own, other = _places(w)
        into, spread, out = (torch.empty_like(weight) for weight in (w.project_in, w.spread, w.project_out))
        into[first, :, 0, 0] = gradients.into
        spread[first, own], spread[first, other] = gradients.spreads
        out[:, first[:hidden], 0, 0] = gradients.out
        return into, spread, out
    into, spread = (
        torch.cat([half[:hidden] for half in weight.chunk(2)]) for weight in (gradients.into, gradients.spreads[0])
    )
    return into[:, :, None, None], spread[:, None], gradients.out[:, :hidden, None, None]


def _places(w: BlockWeights) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maps of groups of two as they are arranged, the place of each in its group, and its partner's."""
    hidden = w.project_out.shape[1]
    order = torch.arange(hidden).view(-1, 2).T.flatten()
    both = torch.cat([order, order + hidden])
    return both, both % 2, (both + 1) % 2
