"""Divisions and roots that are defined where it matters, with gradients that are finite everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_SQUARE = 1e-24  # smaller ones overflow in the gradient of float32


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Divide, giving NaN (but no NaN gradient) where the whole is nothing.

    Args:
        part: any shape.
        whole: a shape that fits.

    Returns:
        The shape of both.
    """
    nothing = whole == 0
    return (part / whole.masked_fill(nothing, 1)).masked_fill(nothing, torch.nan)


def length(x: Tensor, *others: Tensor) -> Tensor:
    """Return the length of vectors given by their parts: exactly 0, with a gradient of 0, for the vector of zeros.

    Args:
        x: the first part, any shape.
        others: the further parts, same shape.

    Returns:
        Same shape.
    """
    squares = x * x
    for part in others:
        squares = torch.addcmul(squares, part, part)
    return root(squares)  # several times faster than a norm along a short axis


def shares_times_log(shares: Tensor) -> Tensor:
    """Return p log p for each share p: 0 for a share of 0.

    Args:
        shares: any shape, at least 0.

    Returns:
        Same shape, in nats.
    """
    return shares * shares.clamp_min(torch.finfo(shares.dtype).tiny).log()  # faster than torch.xlogy


def root(squares: Tensor) -> Tensor:
    """Return the square root: exactly 0, with a gradient of 0, at 0.

    Args:
        squares: any shape, at least 0.

    Returns:
        Same shape.
    """
    return squares * squares.clamp_min(_LEAST_SQUARE).rsqrt()
