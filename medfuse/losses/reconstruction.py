"""Losses of stage I: an image drawn from its own features shall be that image.

Zhao et al., "CDDFuse", CVPR 2023, equation 9.
"""

from __future__ import annotations

from kornia.filters import spatial_gradient
from kornia.metrics import ssim
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_SSIM_WINDOW = 11
_SSIM_WEIGHT = 5.0


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
    return ((1.0 - ssim(x, y, window_size=_SSIM_WINDOW)) / 2.0).clamp(0.0, 1.0).mean()


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
    return F.l1_loss(spatial_gradient(image), spatial_gradient(reconstructed))
