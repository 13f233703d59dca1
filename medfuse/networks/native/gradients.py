"""Step 5 of 8, network: the way back through a block of channel attention and gated feed-forward, by the kernels.

Only the input of the block is needed; all else is made again, tile by tile, and never lies in memory as a whole. What
becomes of the sums over pixels (``channel_products``) is a matter of small matrices and left to autograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from medfuse.networks.channel_products import attention_matrices, no_products
from medfuse.networks.native.block_weights import BlockWeights
from medfuse.networks.native.blocks import ReadyBlock, attend, usable_block
from medfuse.networks.native.feed_forward import ArrangedFeedForward, rearrange
from medfuse.networks.native.library import address, check, lanes
from medfuse.networks.native.packing import packed_depthwise, packed_matrix

_EPS = 1e-5  # of the norms


class _Refined(NamedTuple):
    """Gradients of what ``medfuse_refine`` takes; of the weights, by their names in ``BlockWeights``."""

    attended: Tensor
    values: Tensor
    matrices: Tensor
    weights: dict[str, Tensor | None]


def block_gradients(
    owner: nn.Module, x: Tensor, gradient: Tensor, weights: Callable[[], BlockWeights | None]
) -> tuple[Tensor, dict[int, Tensor]] | None:
    """Go back through what ``run_block`` computes.

    Args:
        owner: the module that the weights belong to.
        x: (B, C, H, W), what went in.
        gradient: (B, C, H, W), of what came out.
        weights: as for ``run_block``.

    Returns:
        The gradient of x, and those of the weights by ``id``; None where PyTorch has to do it.
    """
    ready = usable_block(owner, x, weights)
    if ready is None:
        return None
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    w, whole, values = ready.weights, (0, x.shape[2]), torch.empty_like(ready.x)
    sums = no_products(x.shape[0], x.shape[1], w.temperature.shape[0])
    attend(ready, whole, ready.packed.all, values, sums)
    small = [tensor.detach().requires_grad_() for tensor in (sums, w.temperature, w.attention_out)]
    with torch.enable_grad():
        matrices = attention_matrices(*small)
    refined = _refine_back(ready, values, matrices.detach(), gradient)
    of_sums, of_temperature, of_out = torch.autograd.grad(matrices, small, refined.matrices)
    back = _attend_back if w.qkv_spread.shape[1] == 1 else _attend_densely_back
    of_x, of_projection = back(ready, of_sums, refined)
    found = {"temperature": of_temperature, "attention_out": of_out, **refined.weights, **of_projection}
    named = w._asdict()
    return of_x, {id(named[name]): part for name, part in found.items() if part is not None}


def _refine_back(ready: ReadyBlock, values: Tensor, matrices: Tensor, gradient: Tensor) -> _Refined:
    """Go back through attention x values and the feed-forward part."""
    x, w, arranged, inner = ready.x, ready.weights, ready.packed.arranged, ready.packed.feed_forward
    batch, channels, height, width = x.shape
    lanes_of = lanes(ready.kernels)
    there, back = (
        torch.stack([packed_matrix(m, lanes_of) for m in matrix]) for matrix in (matrices, matrices.transpose(1, 2))
    )
    out_back, in_back = (packed_matrix(matrix.T, lanes_of) for matrix in (arranged.out, arranged.into))
    turned = arranged.packed_turned()
    hidden, spreads = arranged.hidden, len(arranged.spreads)
    sizes = (2 * channels, 2 * channels * hidden, spreads * 18 * hidden, hidden * channels, channels * channels)
    sums = torch.zeros(batch, sum(sizes), dtype=torch.float64)
    of_attended, of_values = torch.empty_like(x), torch.empty_like(x)
    maps = (address(x), address(values), address(there), address(back))
    numbers = (batch, height, width, channels, hidden, arranged.partner)
    norm, forth = (address(w.scale2), address(w.shift2)), (address(inner.project_in), address(inner.spread))
    backwards = (address(turned), address(in_back), address(out_back))
    results = (address(of_attended), address(of_values), address(sums))
    arguments = (*maps, *numbers, *norm, *forth, *backwards, address(gradient), *results)
    check(ready.kernels.medfuse_refine_back(*arguments, torch.get_num_threads()))
    of_norm, of_into, of_spread, of_out, _ = torch.split(sums.sum(dim=0).float(), list(sizes))
    parts = of_spread.view(spreads, 9, -1).transpose(1, 2).reshape(spreads, -1, 3, 3)  # each (2 hidden, 3, 3)
    found = ArrangedFeedForward(of_into.view(channels, -1).T, tuple(parts), of_out.view(hidden, channels).T)
    names = ("project_in", "spread", "project_out")
    of_weights = dict(zip(names, rearrange(found, w), strict=True)) | _of_norm(of_norm, w.shift2, "2")
    return _Refined(of_attended, of_values, sums[:, -channels * channels :].view(batch, channels, channels), of_weights)


def _attend_back(ready: ReadyBlock, of_sums: Tensor, refined: _Refined) -> tuple[Tensor, dict[str, Tensor | None]]:
    """Go back through norm, 1x1 and depthwise 3x3, from values and sums over pixels."""
    x, w, projection = ready.x, ready.weights, ready.packed.all
    batch, channels, height, width = x.shape
    size, lanes_of = channels // w.temperature.shape[0], lanes(ready.kernels)
    group = math.lcm(size, lanes_of)
    products, squares = _of_products(of_sums, channels, size)
    blocks = products.view(batch, channels // group, group, -1, group).diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
    queries, keys = (
        torch.cat([packed_matrix(block, lanes_of) for image in matrices for block in image])
        for matrices in (blocks, blocks.transpose(2, 3))
    )
    twice = (2.0 * squares).contiguous()
    turned, project_back = packed_depthwise(w.qkv_spread.flip(2, 3)), packed_matrix(w.qkv[:, :, 0, 0].T, lanes_of)
    sizes = (2 * channels, 3 * channels * channels, 27 * channels)
    sums, of_x = torch.zeros(batch, sum(sizes), dtype=torch.float64), torch.empty_like(x)
    norm, forth = (address(w.scale1), address(w.shift1)), (address(projection.project), address(projection.spread))
    backwards = (address(turned), address(project_back), address(queries), address(keys), address(twice))
    results = (address(refined.values), address(refined.attended), address(of_x), address(sums))
    arguments = (address(x), batch, height, width, channels, group, *norm, *forth, *backwards, *results)
    check(ready.kernels.medfuse_attend_back(*arguments, torch.get_num_threads()))
    of_norm, of_qkv, of_spread = torch.split(sums.sum(dim=0).float(), list(sizes))
    found: dict[str, Tensor | None] = _of_norm(of_norm, w.shift1, "1")
    found["qkv"] = of_qkv.view(channels, -1).T.reshape(w.qkv.shape)
    found["qkv_spread"] = of_spread.view(9, -1).T.reshape(w.qkv_spread.shape)
    return of_x, found


def _attend_densely_back(
    ready: ReadyBlock, of_sums: Tensor, refined: _Refined
) -> tuple[Tensor, dict[str, Tensor | None]]:
    """The same for a dense 3x3: PyTorch's convolutions do what they can, and the rest is here."""
    w, channels, size = ready.weights, ready.x.shape[1], ready.x.shape[1] // ready.weights.temperature.shape[0]
    named = {"scale1": w.scale1, "shift1": w.shift1, "qkv": w.qkv, "qkv_spread": w.qkv_spread}
    leaves = {name: weight.detach().requires_grad_() for name, weight in named.items() if weight is not None}
    start = ready.x.detach().requires_grad_()
    with torch.enable_grad():
        pixels = start.permute(0, 2, 3, 1)  # (B, H, W, C)
        normal = F.layer_norm(pixels, (channels,), leaves["scale1"], leaves["shift1"], _EPS).permute(0, 3, 1, 2)
        kernel = torch.einsum("omyx,mi->oiyx", leaves["qkv_spread"], leaves["qkv"][:, :, 0, 0])
    queries_keys = torch.conv2d(normal, kernel[: 2 * channels], padding=1).permute(0, 2, 3, 1)  # (B, H, W, 2C)
    products, squares = _of_products(of_sums, channels, size)
    across = torch.zeros(products.shape[0], 2 * channels, 2 * channels)
    across[:, channels:, :channels], across[:, :channels, channels:] = products.transpose(1, 2), products
    across += torch.diag_embed(2.0 * squares)
    of_pixels = torch.cat(
        [torch.bmm(queries_keys.flatten(1, 2), across), refined.values.permute(0, 2, 3, 1).flatten(1, 2)], dim=2
    )
    of_qkv = of_pixels.view(*pixels.shape[:3], 3 * channels).permute(0, 3, 1, 2)
    of_normal, of_kernel, _ = torch.ops.aten.convolution_backward(
        of_qkv, normal.detach(), kernel.detach(), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    )
    of_x, *found = torch.autograd.grad([normal, kernel], [start, *leaves.values()], [of_normal, of_kernel])
    return of_x + refined.attended, dict(zip(leaves, found, strict=True))


def _of_norm(sums: Tensor, shift: Tensor | None, number: str) -> dict[str, Tensor | None]:
    of_scale, of_shift = sums.chunk(2)
    return {f"scale{number}": of_scale, f"shift{number}": None if shift is None else of_shift}


def _of_products(of_sums: Tensor, channels: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the gradients of the products, (B, C, C) with a block for each head, and of the squares, (B, 2C)."""
    batch, heads = of_sums.shape[0], channels // size
    products = of_sums.new_zeros(batch, heads, size, heads, size)
    each = torch.arange(heads)
    products[:, each, :, each, :] = of_sums[:, : channels * size].view(batch, heads, size, size).transpose(0, 1)
    return products.view(batch, channels, channels).float(), of_sums[:, channels * size :].float()
