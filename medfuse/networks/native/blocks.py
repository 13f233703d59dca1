"""Step 5 of 8, network: a block of channel attention and gated feed-forward, by the kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.networks.native.library import address, check, lanes, usable_kernels
from medfuse.networks.native.packing import packed_depthwise, packed_matrix, packed_once, padded_rows

_LEAST_NORM = 1e-12
_KEYS_AT_ONCE = 8
_TO_PARTS = (  # of a row of three weights for Winograd's F(4, 3), as `to_parts` in kernels.cpp is of pixels
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)


class BlockWeights(NamedTuple):
    """The weights of a block as its modules hold them; no convolution has a bias.

    Attributes:
        scale1: (C,) of the first norm.
        shift1: (C,) of the first norm, or None for the norm that keeps the mean.
        qkv: (3C, C, 1, 1).
        qkv_spread: (3C, 1, 3, 3) for depthwise, or (3C, 3C, 3, 3) for a dense 3x3 convolution.
        temperature: (heads, 1, 1).
        attention_out: (C, C, 1, 1).
        scale2: (C,) of the second norm.
        shift2: as ``shift1``.
        project_in: (2 hidden, C, 1, 1).
        spread: (2 hidden, 1, 3, 3) for depthwise, or (2 hidden, 2, 3, 3) for groups of two.
        project_out: (C, hidden, 1, 1).
    """

    scale1: Tensor
    shift1: Tensor | None
    qkv: Tensor
    qkv_spread: Tensor
    temperature: Tensor
    attention_out: Tensor
    scale2: Tensor
    shift2: Tensor | None
    project_in: Tensor
    spread: Tensor
    project_out: Tensor


class _FeedForward(NamedTuple):
    hidden: int
    partner: int
    project_in: Tensor
    spread: Tensor
    project_out: Tensor


class _Packed(NamedTuple):
    project: Tensor
    spread: Tensor | None
    feed_forward: _FeedForward


def run_block(owner: nn.Module, x: Tensor, weights: Callable[[], BlockWeights | None]) -> Tensor | None:
    """Compute ``x + attention(norm(x))`` and then ``x + feed-forward(norm(x))``.

    Args:
        owner: the module that the weights belong to.
        x: (B, C, H, W).
        weights: reads them; None if there is more to the module than the kernels know.

    Returns:
        (B, C, H, W), channels last; None where PyTorch has to do it.
    """
    kernels = usable_kernels(x)
    w = None if kernels is None else weights()
    if kernels is None or w is None or not _fits(w, lanes(kernels)):
        return None
    packed = packed_once(owner, lambda: _pack(w, lanes(kernels)))
    x = x.contiguous(memory_format=torch.channels_last)
    values, attention = _attend(kernels, x, w, packed)
    return _refine(kernels, x, values, attention, w, packed.feed_forward)


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


def _attend(kernels: ctypes.CDLL, x: Tensor, w: BlockWeights, packed: _Packed) -> tuple[Tensor, Tensor]:
    """Return the values, and for each image the matrix that mixes them and projects the mixture."""
    batch, channels, height, width = x.shape
    heads = w.temperature.shape[0]
    size = channels // heads
    values = torch.empty_like(x)
    sums = torch.empty(batch, channels * size + 2 * channels, dtype=torch.float64)
    norm = (address(w.scale1), address(w.shift1))
    places = (address(packed.project), address(packed.spread), address(values), address(sums))
    threads = torch.get_num_threads()
    check(kernels.medfuse_attend(address(x), batch, height, width, channels, size, *norm, *places, threads))

    products = sums[:, : channels * size].view(batch, heads, size, size)
    norms = sums[:, channels * size :].sqrt().clamp_min(_LEAST_NORM).view(batch, 2, heads, size)
    cosines = products / (norms[:, 0, :, :, None] * norms[:, 1, :, None, :])
    attention = (cosines * w.temperature).softmax(dim=-1)  # (B, heads, C/heads, C/heads)
    out = w.attention_out.double().view(channels, heads, size)
    matrices = torch.einsum("ohi,bhij->bohj", out, attention).reshape(batch, channels, channels)
    return values, torch.stack([packed_matrix(matrix, lanes(kernels)) for matrix in matrices])


def _refine(
    kernels: ctypes.CDLL, x: Tensor, values: Tensor, attention: Tensor, w: BlockWeights, inner: _FeedForward
) -> Tensor:
    batch, channels, height, width = x.shape
    refined = torch.empty_like(x)
    maps = (address(x), address(values), address(attention))
    sizes = (batch, height, width, channels, inner.hidden, inner.partner)
    matrices = (address(inner.project_in), address(inner.spread), address(inner.project_out))
    norm = (address(w.scale2), address(w.shift2))
    check(kernels.medfuse_refine(*maps, *sizes, *norm, *matrices, address(refined), torch.get_num_threads()))
    return refined


def _pack(w: BlockWeights, width: int) -> _Packed:
    feed_forward = _pack_groups_of_two(w, width) if w.spread.shape[1] == 2 else _pack_depthwise(w, width)
    qkv = w.qkv[:, :, 0, 0]
    if w.qkv_spread.shape[1] == 1:
        return _Packed(packed_matrix(qkv, width), packed_depthwise(w.qkv_spread), feed_forward)
    # Two linear maps in a row are one: a dense 3x3 from C to 3C costs a third of one from 3C to 3C.
    kernel = torch.einsum("omyx,mi->yxoi", w.qkv_spread.double(), qkv.double())
    parts = torch.einsum("px,yxoi->pyoi", torch.tensor(_TO_PARTS, dtype=torch.float64), kernel).flatten(0, 1)
    return _Packed(torch.cat([packed_matrix(part, width) for part in parts]), None, feed_forward)


def _pack_depthwise(w: BlockWeights, width: int) -> _FeedForward:
    hidden = w.project_out.shape[1]
    wide = -(-hidden // width) * width  # the hidden maps that are added are 0
    into, spread = (
        torch.cat([padded_rows(half, wide) for half in weight.chunk(2)])
        for weight in (w.project_in[:, :, 0, 0], w.spread)
    )
    out = padded_rows(w.project_out[:, :, 0, 0].T, wide).T
    return _FeedForward(wide, 0, packed_matrix(into, width), packed_depthwise(spread), packed_matrix(out, width))


def _pack_groups_of_two(w: BlockWeights, width: int) -> _FeedForward:
    """Bring the first maps of all groups together and then the second ones, so that partners lie a fixed way apart."""
    hidden = w.project_out.shape[1]
    order = torch.arange(hidden).view(-1, 2).T.flatten()
    both = torch.cat([order, order + hidden])
    own, other = (w.spread[both, (both + turned) % 2] for turned in (0, 1))  # each (2 hidden, 3, 3)
    return _FeedForward(
        hidden,
        hidden // 2,
        packed_matrix(w.project_in[both, :, 0, 0], width),
        torch.cat([packed_depthwise(own), packed_depthwise(other)]),
        packed_matrix(w.project_out[:, order, 0, 0], width),
    )
