"""Step 5 of 8, network: a block whose attention sees the whole image, in two passes over parts of it.

The first pass adds up the products of queries and keys (``channel_products``); the second computes the values and does
all the rest. Either needs only some rows at a time, with a few neighbors; both together give what the block gives on
the whole image, within rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.networks.channel_products import attention_matrices, no_products, products_of
from medfuse.networks.native import BlockWeights, add_products, refine_rows, run_block
from medfuse.networks.recomputing import ComputedBlock


class BlockParts(NamedTuple):
    """What a block is made of.

    Attributes:
        norm1: before the attention.
        project: maps (B, C, H, W) to the channels from a first to an end of queries, keys and values, (B, 3C, H, W).
        temperature: (heads, 1, 1).
        attention_out: the 1x1 convolution after the attention.
        norm2: before the feed-forward part.
        feed_forward: (B, C, H, W) to the same shape, seeing one pixel around each.
    """

    norm1: nn.Module
    project: Callable[[Tensor, int, int], Tensor]
    temperature: Tensor
    attention_out: nn.Conv2d
    norm2: nn.Module
    feed_forward: nn.Module


class TwoPassBlock(ComputedBlock):
    """x + attention(norm(x)), then x + feed-forward(norm(x)), at once or in two passes."""

    PRODUCTS_SEE = 1  # rows above and below
    REFINING_SEES = 2

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        return run_block(self, x, self._weights)

    def _weights(self) -> BlockWeights | None:
        """Return the weights for the kernels: None if there is more to the block than they know."""
        raise NotImplementedError

    def parts(self) -> BlockParts:
        """Return what the block is made of."""
        raise NotImplementedError

    @torch.jit.unused
    def no_products(self, x: Tensor) -> Tensor:
        """Return the sums of the first pass before it has begun, for maps like (B, C, H, W)."""
        return no_products(x.shape[0], x.shape[1], self.parts().temperature.shape[0])

    @torch.jit.unused
    def add_products(self, x: Tensor, rows: tuple[int, int], sums: Tensor) -> None:
        """First pass: add what some rows contribute.

        Args:
            x: (B, C, H, W), ``PRODUCTS_SEE`` rows more than wanted above and below, where the image has them.
            rows: the first of those wanted, and the one after the last.
            sums: what is added to.
        """
        if add_products(self, x, rows, self._weights, sums):
            return
        parts, channels = self.parts(), x.shape[1]
        queries_keys = parts.project(parts.norm1(x), 0, 2 * channels)[:, :, rows[0] : rows[1]]
        sums += products_of(queries_keys, parts.temperature.shape[0])

    @torch.jit.unused
    def attention(self, sums: Tensor) -> Tensor:
        """Return (B, C, C) matrices for the second pass, from sums over the whole image."""
        parts = self.parts()
        return attention_matrices(sums, parts.temperature, parts.attention_out.weight)

    @torch.jit.unused
    def refine(self, x: Tensor, rows: tuple[int, int], matrices: Tensor) -> Tensor:
        """Second pass: compute some rows of the block's result.

        Args:
            x: (B, C, H, W), ``REFINING_SEES`` rows more than wanted above and below, where the image has them.
            rows: the first of those wanted, and the one after the last.
            matrices: of ``attention``.

        Returns:
            (B, C, rows, W).
        """
        refined = refine_rows(self, x, rows, self._weights, matrices)
        if refined is not None:
            return refined
        parts, channels = self.parts(), x.shape[1]
        values = parts.project(parts.norm1(x), 2 * channels, 3 * channels)
        mixed = torch.einsum("bij,bjhw->bihw", matrices.to(values.dtype), values)
        if parts.attention_out.bias is not None:
            mixed = mixed + parts.attention_out.bias[:, None, None]
        attended = x + mixed
        whole: Tensor = attended + parts.feed_forward(parts.norm2(attended))
        return whole[:, :, rows[0] : rows[1]]
