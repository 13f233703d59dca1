"""Step 5 of 8, network: a block whose attention sees the whole image, in two passes over parts of it.

The first pass adds up the products of queries and keys (``channel_products``); the second computes the values and does
all the rest. Either needs only some rows at a time, with a few neighbors; both together give what the block gives on
the whole image, within rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from medfuse.networks.channel_products import attention_matrices, no_products, products_of
from medfuse.networks.native import BlockWeights, add_products, block_gradients, refine_rows, run_block
from medfuse.networks.recomputing import ComputedBlock


class BlockParts(NamedTuple):
    """What a block is made of.

    Attributes:
        norm1: before the attention.
        qkv: 1x1 convolution from C to 3C, queries, keys and values.
        qkv_spread: the 3x3 convolution after it.
        project: maps (B, C, H, W) by both to the channels from a first to an end of those (B, 3C, H, W).
        temperature: (heads, 1, 1).
        attention_out: the 1x1 convolution after the attention.
        norm2: before the feed-forward part.
        feed_forward: (B, C, H, W) to the same shape, seeing one pixel around each.
    """

    norm1: nn.Module
    qkv: nn.Conv2d
    qkv_spread: nn.Conv2d
    project: Callable[[Tensor, int, int], Tensor]
    temperature: Tensor
    attention_out: nn.Conv2d
    norm2: nn.Module
    feed_forward: nn.Module

    def weights(self) -> BlockWeights | None:
        """Return the weights for the kernels: None if the convolutions have biases."""
        inner: Any = self.feed_forward
        norms: tuple[Any, Any] = (self.norm1, self.norm2)
        if self.qkv.bias is not None or inner.project_in.bias is not None:
            return None
        (scale1, shift1), (scale2, shift2) = ((norm.body.weight, getattr(norm.body, "bias", None)) for norm in norms)
        return BlockWeights(
            scale1,
            shift1,
            self.qkv.weight,
            self.qkv_spread.weight,
            self.temperature,
            self.attention_out.weight,
            scale2,
            shift2,
            inner.project_in.weight,
            inner.dwconv.weight,
            inner.project_out.weight,
        )


class TwoPassBlock(ComputedBlock):
    """x + attention(norm(x)), then x + feed-forward(norm(x)), at once or in two passes."""

    PRODUCTS_SEE = 1  # rows above and below
    REFINING_SEES = 4  # two would do, but that the kernels make rows in fours

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        return run_block(self, x, self._weights)

    @torch.jit.unused
    def gradients(self, x: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and of all parameters, by the kernels where they can."""
        found = block_gradients(self, x, gradient, self._weights)
        if found is None:
            return super().gradients(x, gradient)
        of_x, of_weights = found
        return (of_x, *(of_weights.get(id(parameter)) for parameter in self.parameters()))

    @torch.jit.unused
    def _weights(self) -> BlockWeights | None:
        return self.parts().weights()

    def parts(self) -> BlockParts:
        """Return what the block is made of."""
        raise NotImplementedError

    @torch.jit.unused
    def no_products(self) -> Tensor:
        """Return the sums of the first pass over one image before it has begun."""
        parts = self.parts()
        return no_products(1, parts.attention_out.weight.shape[0], parts.temperature.shape[0])

    @torch.jit.unused
    def add_products(self, x: Tensor, rows: tuple[int, int], sums: Tensor) -> None:
        """First pass: add what some rows contribute.

        Args:
            x: (1, C, H, W), ``PRODUCTS_SEE`` rows more than wanted above and below, where the image has them.
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
        """Return the (1, C, C) matrix for the second pass, from sums over the whole image."""
        parts = self.parts()
        return attention_matrices(sums, parts.temperature, parts.attention_out.weight)

    @torch.jit.unused
    def refine(self, x: Tensor, rows: tuple[int, int], matrices: Tensor) -> Tensor:
        """Second pass: compute some rows of the block's result.

        Args:
            x: (1, C, H, W), ``REFINING_SEES`` rows more than wanted above and below, where the image has them.
            rows: the first of those wanted, and the one after the last.
            matrices: of ``attention``.

        Returns:
            (1, C, rows, W).
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
