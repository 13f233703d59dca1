"""Losses of stage II: the fused image shall hold the brighter value and the stronger edge of the two sources.

Zhao et al., "CDDFuse", CVPR 2023, equation 11.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_SOBEL_X = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return ``|Gx| + |Gy|`` of the 1-2-1 Sobel kernels, with zeros around the image.

    Args:
        image: (B, 1, H, W).

    Returns:
        Same shape, at least 0.
    """
    return F.conv2d(image, sobel_kernels(image), padding=1).abs().sum(dim=1, keepdim=True)


def sobel_kernels(like: Tensor) -> Tensor:
    """Return the 1-2-1 Sobel kernels of x and y, (2, 1, 3, 3), in the type and on the device of a tensor."""
    kernel_x = like.new_tensor(_SOBEL_X)
    return torch.stack([kernel_x, kernel_x.T])[:, None]


def intensity_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the L1 distance of the fused image to the brighter source.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar.
    """
    return F.l1_loss(fused, torch.maximum(first, second))


def gradient_loss(fused: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the L1 distance of the fused image's Sobel magnitude to the stronger source's.

    Args:
        fused: (B, 1, H, W) in [0, 1].
        first: the first source, same shape and range.
        second: the second source.

    Returns:
        A scalar.
    """
    stronger = torch.maximum(sobel_magnitude(first), sobel_magnitude(second))
    return F.l1_loss(sobel_magnitude(fused), stronger)
