"""Losses of stage I: an image drawn from its own features shall be that image.

Zhao et al., "CDDFuse", CVPR 2023, equation 9. Wang et al., "Image quality assessment: from error visibility
to structural similarity", IEEE Transactions on Image Processing, 2004.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.losses.fusion import sobel_kernels

_SSIM_REACH = 5  # pixels to each side: a window of 11
_SSIM_SIGMA = 1.5
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_SSIM_WEIGHT = 5.0
_SOBEL_SUM = 8.0  # of the absolute values of a 1-2-1 Sobel kernel


def ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean of (1 - SSIM) / 2, with an 11 x 11 Gaussian window of sigma 1.5.

    Every pixel counts, for the images are continued by reflection. MONAI's ``SSIMLoss``, which leaves out the
    border and does not halve, is twice this where the images are continued before.

    Args:
        x: (B, 1, H, W) in [0, 1]; H and W at least 6.
        y: same shape and range.

    Returns:
        A scalar from 0 (equal) to 1.
    """
    return ((1.0 - _similarity(x, y)) / 2.0).clamp(0.0, 1.0).mean()


def reconstruction_loss(image: Tensor, reconstructed: Tensor) -> Tensor:
    """Return 5 x SSIM loss + mean squared error.

    Args:
        image: (B, 1, H, W) in [0, 1]; H and W at least 6.
        reconstructed: same shape and range.

    Returns:
        A scalar.
    """
    return _SSIM_WEIGHT * ssim_loss(image, reconstructed) + F.mse_loss(image, reconstructed)


def gradient_difference(image: Tensor, reconstructed: Tensor) -> Tensor:
    """Return the L1 distance of the normalized Sobel gradients, x and y apart.

    Args:
        image: (B, 1, H, W) in [0, 1].
        reconstructed: same shape and range.

    Returns:
        A scalar.
    """
    return F.l1_loss(_normalized_gradient(image), _normalized_gradient(reconstructed))


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """Return the structural similarity around each pixel, (B, 1, H, W)."""
    x, y = (F.pad(image, [_SSIM_REACH] * 4, mode="reflect") for image in (x, y))
    mean_x, mean_y, square_x, square_y, product = _blur(torch.cat([x, y, x * x, y * y, x * y])).chunk(5)
    luminance = (2.0 * mean_x * mean_y + _SSIM_C1) / (mean_x * mean_x + mean_y * mean_y + _SSIM_C1)
    var_x, var_y = square_x - mean_x * mean_x, square_y - mean_y * mean_y
    structure = (2.0 * (product - mean_x * mean_y) + _SSIM_C2) / (var_x + var_y + _SSIM_C2)
    return luminance * structure


def _blur(images: Tensor) -> Tensor:
    """Average each window with Gaussian weights, (N, 1, H, W) to (N, 1, H - 10, W - 10)."""
    offsets = torch.arange(-_SSIM_REACH, _SSIM_REACH + 1, dtype=images.dtype, device=images.device)
    profile = torch.exp(-offsets.square() / (2.0 * _SSIM_SIGMA**2))
    profile = profile / profile.sum()
    return torch.conv2d(torch.conv2d(images, profile[None, None, None, :]), profile[None, None, :, None])


def _normalized_gradient(image: Tensor) -> Tensor:
    """Return (B, 2, H, W) Sobel gradients of an image (B, 1, H, W), which is continued by its edge values."""
    continued = F.pad(image, [1, 1, 1, 1], mode="replicate")
    return torch.conv2d(continued, sobel_kernels(image) / _SOBEL_SUM)
