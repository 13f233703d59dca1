"""Step 5 of 8, network: the weights of a module in the order in which the kernels read them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

Packed = TypeVar("Packed")
_Stamp: TypeAlias = tuple[tuple[int, int], ...]
_kept: weakref.WeakKeyDictionary[nn.Module, tuple[_Stamp, object]] = weakref.WeakKeyDictionary()


def packed_once(owner: nn.Module, pack: Callable[[], Packed]) -> Packed:
    """Return what ``pack`` makes of the weights of a module, and keep it until they change.

    Args:
        owner: the module.
        pack: reads its weights.
    """
    stamp = tuple((weight.data_ptr(), _version(weight)) for weight in owner.parameters())
    kept = _kept.get(owner)
    if kept is not None and kept[0] == stamp:
        return kept[1]  # type: ignore[return-value]  # only the same module's pack makes it
    made = pack()
    if all(version >= 0 for _, version in stamp):
        _kept[owner] = (stamp, made)
    return made


def packed_matrix(weight: Tensor, lanes: int) -> Tensor:
    """Cut a matrix into panels as wide as the registers hold, each with its inputs one after the other.

    Args:
        weight: (outputs, inputs), outputs a multiple of the lanes.
        lanes: floats in a vector of the processor.

    Returns:
        (outputs * inputs,) float32.
    """
    panels, begin = [], 0
    while begin < weight.shape[0]:
        vectors = (weight.shape[0] - begin) // lanes
        width = lanes * (4 if vectors >= 4 and lanes == 16 else min(vectors, 2))  # as `multiply` in parts.h
        panels.append(weight[begin : begin + width].T.flatten())  # (inputs * width,)
        begin += width
    return torch.cat(panels).float().contiguous()


def packed_depthwise(weight: Tensor) -> Tensor:
    """Bring a depthwise kernel (C, 1, 3, 3) or (C, 3, 3) into the order (9, C)."""
    return weight.reshape(weight.shape[0], 9).T.float().contiguous()


def padded_rows(weight: Tensor, rows: int) -> Tensor:
    """Add rows of zeros, so that there are so many."""
    return torch.cat([weight, weight.new_zeros(rows - weight.shape[0], *weight.shape[1:])])


def _version(weight: Tensor) -> int:
    """Return how often a tensor was changed in place, or -1 where that is not counted."""
    return -1 if weight.is_inference() else weight._version
