"""How much contrast and fine detail an image has, whatever its sources show there.

Noise and invented detail raise all of these as well as real detail does: read them next to measures that know the
sources.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def standard_deviation(image: Tensor) -> Tensor:
    """Return the standard deviation of the gray levels of each image (SD).

    One of the measures collected by Ma, Ma and Li, "Infrared and visible image fusion methods and applications: A
    survey", Information Fusion, 2019.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).

    Returns:
        (B,) in the unit of the image: 0 for a blank image.
    """
    return image.flatten(1).std(dim=1, correction=0)


def spatial_frequency(image: Tensor) -> Tensor:
    """Return the spatial frequency of each image (SF): the size of the steps between neighbors.

    Eskicioglu and Fisher, "Image quality measures and their performance", IEEE Transactions on Communications, 1995.
    It is the root of the sum, over the axes, of the mean squared step along the axis.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z).

    Returns:
        (B,) in the unit of the image, per pixel: 0 for a blank image.
    """
    steps = []
    for axis in range(2, image.ndim):
        count = math.prod(image.shape[2:]) // image.shape[axis] * (image.shape[axis] - 1)
        steps.append(torch.diff(image / math.sqrt(max(count, 1)), dim=axis).flatten(1))
    frequency: Tensor = torch.linalg.vector_norm(torch.cat(steps, dim=1), dim=1)  # its derivative at 0 is 0, not NaN
    return frequency


def average_gradient(image: Tensor) -> Tensor:
    """Return the mean length of the gradient of each image (AG).

    Cui, Feng, Xu, Li and Chen, "Detail preserved fusion of visible and infrared images using regional saliency
    extraction and multi-scale image decomposition", Optics Communications, 2015. The gradient is taken by central
    differences, one-sided at the border, and its length is divided by the root of the number of axes.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z); at least 2 pixels along each axis.

    Returns:
        (B,) in the unit of the image, per pixel: 0 for a blank image.
    """
    axes = tuple(range(2, image.ndim))
    gradient = torch.stack(torch.gradient(image, dim=axes), dim=-1)  # (B, 1, H, W, axes): this way it is summed fast
    length: Tensor = torch.linalg.vector_norm(gradient, dim=-1) / math.sqrt(len(axes))
    return length.flatten(1).mean(dim=1)
