"""Which pixels count: masks, ranges, and the sums over what is inside."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.numerics import ratio


def check_range(data_range: float) -> None:
    """Refuse a range of gray levels that is none.

    Args:
        data_range: from the least to the largest value that an image can have, such as 255 for 8-bit levels.

    Raises:
        OptionError: if it is not above 0.
    """
    if not data_range > 0.0:
        msg = f"data_range is {data_range}; give the width of the range of gray levels, such as 255"
        raise OptionError(msg)


def check_mask(mask: Tensor | None, image: Tensor) -> None:
    """Refuse a mask that is no bool of the shape of its image.

    Args:
        mask: bool, True where pixels count, or None.
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).

    Raises:
        OptionError: if the mask has another type or another shape.
    """
    if mask is None:
        return
    if mask.dtype != torch.bool:
        msg = f"mask is of type {mask.dtype}; give torch.bool, True where pixels count"
        raise OptionError(msg)
    if mask.shape != image.shape:
        msg = f"mask has shape {tuple(mask.shape)}; give that of the images, {tuple(image.shape)}"
        raise OptionError(msg)


def check_planar(image: Tensor, measure: str) -> None:
    """Refuse volumes for a measure that is defined for images.

    Args:
        image: what shall be (B, 1, H, W).
        measure: what is measured, as the refusal names it.

    Raises:
        OptionError: if it has another number of axes.
    """
    if image.ndim != 4:
        msg = f"{measure} is defined for images (B, 1, H, W), not for shape {tuple(image.shape)}; give slices"
        raise OptionError(msg)


def inner(mask: Tensor | None, border: int) -> Tensor | None:
    """Cut a border off: what is left belongs to the centers of the windows that fit into the image.

    Args:
        mask: (B, 1, H, W), or (B, 1, X, Y, Z), or None for everywhere.
        border: pixels on each side, half a window.

    Returns:
        The mask, smaller by twice the border along each axis, or None.
    """
    if mask is None:
        return None
    for axis in range(2, mask.ndim):
        mask = mask.narrow(axis, border, mask.shape[axis] - 2 * border)
    return mask


def sum_inside(values: Tensor, mask: Tensor | None) -> Tensor:
    """Add up what is inside of each image.

    Args:
        values: (B, C, H, W), or (B, C, X, Y, Z).
        mask: bool (B, 1, H, W), or (B, 1, X, Y, Z); None for everywhere.

    Returns:
        (B, C); values outside do not matter, be they NaN.
    """
    kept = values if mask is None else values.masked_fill(~mask, 0)
    return kept.flatten(2).sum(dim=2)


def count_inside(values: Tensor, mask: Tensor | None) -> Tensor:
    """Count the pixels inside of each image.

    Args:
        values: (B, C, H, W), or (B, C, X, Y, Z).
        mask: bool (B, 1, H, W), or (B, 1, X, Y, Z); None for everywhere.

    Returns:
        (B, 1), in the type of the values.
    """
    if mask is None:
        return values.new_full((values.shape[0], 1), math.prod(values.shape[2:]))
    return mask.flatten(2).sum(dim=2).to(values.dtype)


def mean_inside(values: Tensor, mask: Tensor | None) -> Tensor:
    """Average what is inside of each image.

    Args:
        values: (B, C, H, W), or (B, C, X, Y, Z).
        mask: bool (B, 1, H, W), or (B, 1, X, Y, Z); None for everywhere.

    Returns:
        (B, C); NaN where nothing is inside.
    """
    return ratio(sum_inside(values, mask), count_inside(values, mask))
