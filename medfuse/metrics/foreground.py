"""Where the patient is: the pixels that are worth judging."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from medfuse.metrics.masking import check_range
from medfuse.metrics.windows import padded

_LEAST_LEVEL = 0.05  # share of the range
_MARGIN = 2  # pixels


def foreground_mask(first: Tensor, second: Tensor, data_range: float = 255.0) -> Tensor:
    """Return the foreground of each pair: what is bright in either source, what it encloses, and a small margin.

    Bright is above 5 % of the range. Enclosed is what has foreground on both sides along every axis. The margin is
    2 pixels wide, so that the outer edge of the skin lies inside.

    Args:
        first: (B, 1, H, W), or volumes (B, 1, X, Y, Z): gray levels from 0 on.
        second: same shape and range.
        data_range: the width of the range of gray levels.

    Returns:
        bool of the same shape, True inside: False everywhere for a pair that is black.

    Raises:
        OptionError: if the range is not above 0.
    """
    check_range(data_range)
    bright = torch.maximum(first, second) > _LEAST_LEVEL * data_range
    filled = bright | _enclosed(bright)
    return local_maximum(filled.to(torch.uint8), _MARGIN) > 0


def local_maximum(image: Tensor, radius: int) -> Tensor:
    """Return the largest value within a square, or cube, around each pixel.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        radius: how far the square reaches, in pixels.

    Returns:
        Same shape.
    """
    widest = padded(image, radius)
    for axis in range(2, image.ndim):
        size = image.shape[axis]
        steps = (widest.narrow(axis, step, size) for step in range(2 * radius + 1))
        widest = reduce(torch.maximum, steps)  # one axis after the other, many times faster than pooling
    return widest


def _enclosed(bright: Tensor) -> Tensor:
    enclosed = torch.ones_like(bright)
    for axis in range(2, bright.ndim):
        before = bright.cumsum(dim=axis)  # (B, 1, H, W), how many are bright up to here
        enclosed &= (before > 0) & (before < before.narrow(axis, -1, 1))
    return enclosed
