"""Step 5 of 8, network: a block of channel attention and gated feed-forward, by the kernels."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.networks.channel_products import attention_matrices, no_products
from medfuse.networks.native.alike import NOTHING_ALIKE, Alike, find_alike
from medfuse.networks.native.block_weights import BlockWeights
from medfuse.networks.native.feed_forward import ArrangedFeedForward, arrange
from medfuse.networks.native.library import address, check, lanes, usable_kernels
from medfuse.networks.native.packing import packed_depthwise, packed_matrix, packed_once

_KEYS_AT_ONCE, _ROWS_AT_ONCE = 8, 4
_NEAR, _FAR = 0.625, 1.5  # the points of Winograd's F(4, 3) beside 0 and infinity, as in kernels.cpp


class _FeedForward(NamedTuple):
    project_in: Tensor
    spread: Tensor
    project_out: Tensor


class _Projection(NamedTuple):
    project: Tensor
    spread: Tensor | None


class PackedBlock:
    """Weights in the order of the kernels, each made when it is first asked for: parts of qkv are for strips alone."""

    def __init__(self, weights: BlockWeights, width: int) -> None:
        self._weights, self._width = weights, width
        self._keys_end = 2 * weights.scale1.shape[0]

    @cached_property
    def all(self) -> _Projection:
        """What makes queries, keys and values."""
        return _pack_projection(self._weights, slice(None), self._width)

    @cached_property
    def queries_keys(self) -> _Projection:
        """What makes queries and keys."""
        return _pack_projection(self._weights, slice(self._keys_end), self._width)

    @cached_property
    def values(self) -> _Projection:
        """What makes values."""
        return _pack_projection(self._weights, slice(self._keys_end, None), self._width)

    @cached_property
    def feed_forward(self) -> _FeedForward:
        """The feed-forward part."""
        into, out = (packed_matrix(matrix, self._width) for matrix in (self.arranged.into, self.arranged.out))
        return _FeedForward(into, self.arranged.packed_spread(), out)

    @cached_property
    def arranged(self) -> ArrangedFeedForward:
        """The feed-forward part before it is packed."""
        return arrange(self._weights, self._width)


class ReadyBlock(NamedTuple):
    """The kernels, a map that they can read, and the weights of its block."""

    kernels: ctypes.CDLL
    x: Tensor
    weights: BlockWeights
    packed: PackedBlock


def run_block(owner: nn.Module, x: Tensor, weights: Callable[[], BlockWeights | None]) -> Tensor | None:
    """Compute ``x + attention(norm(x))`` and then ``x + feed-forward(norm(x))``.

    Args:
        owner: the module that the weights belong to.
        x: (B, C, H, W).
        weights: reads them; None if there is more to the module than the kernels know.

    Returns:
        (B, C, H, W), channels last; None where PyTorch has to do it.
    """
    ready = usable_block(owner, x, weights)
    if ready is None:
        return None
    w, whole, values = ready.weights, (0, x.shape[2]), torch.empty_like(ready.x)
    sums = no_products(x.shape[0], x.shape[1], w.temperature.shape[0])
    alike = find_alike(ready.kernels, ready.x)
    attend(ready, whole, ready.packed.all, values, sums, alike)
    return _refine(ready, whole, values, attention_matrices(sums, w.temperature, w.attention_out), alike)


def add_products(
    owner: nn.Module, x: Tensor, rows: tuple[int, int], weights: Callable[[], BlockWeights | None], sums: Tensor
) -> bool:
    """Add what the attention of a block needs to know of some rows.

    Args:
        owner: as for ``run_block``.
        x: (B, C, H, W), with a row above and below those wanted, where the image has one.
        rows: the first, and the one after the last.
        weights: as for ``run_block``.
        sums: of ``channel_products``, added to in place.

    Returns:
        False where PyTorch has to do it.
    """
    ready = usable_block(owner, x, weights)
    if ready is not None:
        attend(ready, rows, ready.packed.queries_keys, None, sums)
    return ready is not None


def refine_rows(
    owner: nn.Module, x: Tensor, rows: tuple[int, int], weights: Callable[[], BlockWeights | None], matrices: Tensor
) -> Tensor | None:
    """Compute a block, whose attention is known, for some rows.

    Args:
        owner: as for ``run_block``.
        x: (B, C, H, W), with four rows above and below those wanted, where the image has them.
        rows: the first, and the one after the last.
        weights: as for ``run_block``.
        matrices: (B, C, C) of ``attention_matrices``.

    Returns:
        (B, C, rows, W), channels last; None where PyTorch has to do it.
    """
    ready = usable_block(owner, x, weights)
    if ready is None:
        return None
    (first, end), values = rows, torch.empty_like(ready.x)
    # One row above would do. Rows are made in fours, and these are the fours of the whole image: the same bits.
    attend(ready, (max(first - _ROWS_AT_ONCE, 0), min(end + 1, x.shape[2])), ready.packed.values, values, None)
    return _refine(ready, rows, values, matrices)[:, :, first:end]


def usable_block(owner: nn.Module, x: Tensor, weights: Callable[[], BlockWeights | None]) -> ReadyBlock | None:
    """Return what the kernels need for a map; None where PyTorch has to do the work."""
    kernels = usable_kernels(x)
    w = None if kernels is None else weights()
    if kernels is None or w is None or not _fits(w, lanes(kernels)):
        return None
    packed = packed_once(owner, lambda: PackedBlock(w, lanes(kernels)))
    return ReadyBlock(kernels, x.contiguous(memory_format=torch.channels_last), w, packed)


def _fits(w: BlockWeights, width: int) -> bool:
    """Tell whether the kernels can treat so many channels and heads."""
    channels = w.scale1.shape[0]
    size = channels // w.temperature.shape[0]
    groups_of_two = w.spread.shape[1] == 2
    return (
        w.scale1.dtype is torch.float32
        and channels % width == 0
        and size % _KEYS_AT_ONCE == 0
        and w.spread.shape[1] <= 2
        and not (groups_of_two and w.project_out.shape[1] % (2 * width))
    )


def attend(
    ready: ReadyBlock,
    rows: tuple[int, int],
    projection: _Projection,
    values: Tensor | None,
    sums: Tensor | None,
    alike: Alike = NOTHING_ALIKE,
) -> None:
    """Write the values of some rows, and add their products, where there is a place for each."""
    x, w = ready.x, ready.weights
    batch, channels, height, width = x.shape
    sizes = (batch, height, width, *rows, channels, channels // w.temperature.shape[0])
    norm = (address(w.scale1), address(w.shift1))
    matrices, places = (address(projection.project), address(projection.spread)), (address(values), address(sums))
    known = alike.addresses()
    check(ready.kernels.medfuse_attend(address(x), *sizes, *norm, *matrices, *known, *places, torch.get_num_threads()))


def _refine(
    ready: ReadyBlock, rows: tuple[int, int], values: Tensor, matrices: Tensor, alike: Alike = NOTHING_ALIKE
) -> Tensor:
    """Return a map of which some rows are refined."""
    x, w, arranged, inner = ready.x, ready.weights, ready.packed.arranged, ready.packed.feed_forward
    batch, channels, height, width = x.shape
    refined = torch.empty_like(x)
    attention = torch.stack([packed_matrix(matrix, lanes(ready.kernels)) for matrix in matrices])
    maps = (address(x), address(values), address(attention))
    sizes = (batch, height, width, *rows, channels, arranged.hidden, arranged.partner)
    weights = (address(inner.project_in), address(inner.spread), address(inner.project_out), *alike.addresses())
    norm = (address(w.scale2), address(w.shift2))
    check(ready.kernels.medfuse_refine(*maps, *sizes, *norm, *weights, address(refined), torch.get_num_threads()))
    return refined


def _pack_projection(w: BlockWeights, part: slice, width: int) -> _Projection:
    """Pack what makes some of the channels of queries, keys and values."""
    qkv, spread = w.qkv[:, :, 0, 0], w.qkv_spread
    if spread.shape[1] == 1:
        return _Projection(packed_matrix(qkv[part], width), packed_depthwise(spread[part]))
    # Two linear maps in a row are one: a dense 3x3 from C to 3C costs a third of one from 3C to 3C.
    kernel = torch.einsum("omyx,mi->yxoi", spread.double(), qkv.double())
    parts = _to_parts()
    rows = torch.einsum("px,by,yxoi->pboi", parts, parts, kernel).flatten(0, 1)
    return _Projection(torch.cat([packed_matrix(row[part], width) for row in rows]), None)


def _to_parts() -> Tensor:
    """Return the (6, 3) matrix from three weights in a row to their parts, as `to_parts` in kernels.cpp is of pixels.

    A row is the polynomial of the weights at a point, over the product of the point's distances from the others.
    """
    points = (0.0, _NEAR, -_NEAR, _FAR, -_FAR)
    away = (math.prod(point - other for other in points if other != point) for point in points)
    at_points = [[point**power / product for power in range(3)] for point, product in zip(points, away, strict=True)]
    return torch.tensor([*at_points, [0.0, 0.0, 1.0]], dtype=torch.float64)
