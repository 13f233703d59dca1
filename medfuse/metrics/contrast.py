"""How much contrast and fine detail an image has, whatever its sources show there.

Noise and invented detail raise all of these as well as real detail does: read them next to measures that know the
sources.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask, count_inside, mean_inside, sum_inside
from medfuse.metrics.numerics import length, root


def standard_deviation(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the standard deviation of the gray levels of each image (SD).

    One of the measures collected by Ma, Ma and Li, "Infrared and visible image fusion methods and applications: A
    survey", Information Fusion, 2019.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,) in the unit of the image: 0 for a blank image. NaN where nothing counts.

    Raises:
        OptionError: if the mask does not fit.
    """
    check_mask(mask, image)
    deviations = image - mean_inside(image, mask).view(-1, *[1] * (image.ndim - 1))
    return root(mean_inside(deviations * deviations, mask)).squeeze(1)


def spatial_frequency(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the spatial frequency of each image (SF): the size of the steps between neighbors.

    Eskicioglu and Fisher, "Image quality measures and their performance", IEEE Transactions on Communications, 1995.
    It is the root of the sum, over the axes, of the mean squared step along the axis.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        mask: bool of the same shape; steps count that begin and end where it is True.

    Returns:
        (B,) in the unit of the image, per pixel: 0 for a blank image. NaN where no pixel counts.

    Raises:
        OptionError: if the mask does not fit.
    """
    check_mask(mask, image)
    total = image.new_zeros(image.shape[0], 1)
    for axis in range(2, image.ndim):
        steps, both = torch.diff(image, dim=axis), _with_next(mask, axis)
        total = total + sum_inside(steps * steps, both) / count_inside(steps, both).clamp_min(1.0)
    return root(total).masked_fill(count_inside(image, mask) == 0.0, torch.nan).squeeze(1)


def average_gradient(image: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean length of the gradient of each image (AG).

    Cui, Feng, Xu, Li and Chen, "Detail preserved fusion of visible and infrared images using regional saliency
    extraction and multi-scale image decomposition", Optics Communications, 2015. The gradient is taken by central
    differences, one-sided at the border, and its length is divided by the root of the number of axes.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z); at least 2 pixels along each axis.
        mask: bool of the same shape; pixels count where it is True for them and for their neighbors along each axis.

    Returns:
        (B,) in the unit of the image, per pixel: 0 for a blank image. NaN where no pixel counts.

    Raises:
        OptionError: if the mask does not fit.
    """
    check_mask(mask, image)
    axes = tuple(range(2, image.ndim))
    slopes = length(*torch.gradient(image, dim=axes)) / math.sqrt(len(axes))
    return mean_inside(slopes, None if mask is None else _with_all_neighbors(mask)).squeeze(1)


def _with_next(mask: Tensor | None, axis: int) -> Tensor | None:
    """Tell for each step along an axis whether it begins and ends inside."""
    if mask is None:
        return None
    size = mask.shape[axis] - 1
    return mask.narrow(axis, 0, size) & mask.narrow(axis, 1, size)


def _with_all_neighbors(mask: Tensor) -> Tensor:
    """Take away what has a neighbor, along any axis, that is not inside."""
    kept = mask.clone()
    for axis in range(2, mask.ndim):
        size = mask.shape[axis] - 1
        kept.narrow(axis, 0, size).logical_and_(mask.narrow(axis, 1, size))
        kept.narrow(axis, 1, size).logical_and_(mask.narrow(axis, 0, size))
    return kept
