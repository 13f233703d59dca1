"""Step 5 of 8, network: an invertible node, by the kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.networks.native.alike import find_alike
from medfuse.networks.native.library import address, check, lanes, usable_kernels
from medfuse.networks.native.packing import packed_depthwise, packed_matrix, packed_once


class NodeWeights(NamedTuple):
    """The weights of an invertible node as its modules hold them.

    Attributes:
        mixing: (C, C).
        bias: (C,) of the mixing.
        functions: of phi, rho and eta the 1x1 (C, C/2, 1, 1), the depthwise 3x3 (C, 1, 3, 3) and the 1x1
            (C/2, C, 1, 1).
        clamp: bound of the exponent, 0 for none.
    """

    mixing: Tensor
    bias: Tensor
    functions: tuple[tuple[Tensor, ...], ...]
    clamp: float


def run_node(owner: nn.Module, x: Tensor, weights: Callable[[], NodeWeights | None]) -> Tensor | None:
    """Compute one affine coupling with ReLU6 inside.

    Args:
        owner: the module that the weights belong to.
        x: (B, C, H, W), H and W at least 2.
        weights: reads them; None if there is more to the module than the kernel knows.

    Returns:
        (B, C, H, W), channels last; None where PyTorch has to do it.
    """
    kernels = usable_kernels(x)
    if kernels is None or x.shape[1] % (2 * lanes(kernels)) or min(x.shape[2:]) < 2:
        return None
    packed = packed_once(owner, lambda: _pack(weights(), lanes(kernels)))
    if packed is None:
        return None
    clamp, matrices = packed
    x = x.contiguous(memory_format=torch.channels_last)
    coupled = torch.empty_like(x)
    batch, channels, height, width = x.shape
    places = (address(x), batch, height, width, channels, ctypes.c_float(clamp), *map(address, matrices))
    alike = find_alike(kernels, x)
    check(kernels.medfuse_couple(*places, *alike.addresses(), address(coupled), torch.get_num_threads()))
    return coupled


def _pack(w: NodeWeights | None, width: int) -> tuple[float, tuple[Tensor, ...]] | None:
    """Return the clamp, and the matrices in the order of the kernel's arguments."""
    if w is None:
        return None
    (phi_in, phi_spread, phi_out), rho, eta = w.functions
    both_in, both_spread = (torch.cat([rho[i], eta[i]]) for i in (0, 1))
    matrices = (
        packed_matrix(w.mixing, width),
        w.bias.float().contiguous(),
        packed_matrix(phi_in[:, :, 0, 0], width),
        packed_depthwise(phi_spread),
        packed_matrix(phi_out[:, :, 0, 0], width),
        packed_matrix(both_in[:, :, 0, 0], width),
        packed_depthwise(both_spread),
        packed_matrix(rho[2][:, :, 0, 0], width),
        packed_matrix(eta[2][:, :, 0, 0], width),
    )
    return w.clamp, matrices
