"""How far the gray levels of a fused image are from those of a source.

A fused image has to differ from each of its sources: these tell how, not how well, it was fused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask, check_range, mean_inside


def mean_squared_error(source: Tensor, fused: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean squared difference of each source and its fused image (MSE).

    Wang and Bovik, "Mean squared error: Love it or leave it?", IEEE Signal Processing Magazine, 2009.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape, and the same scale.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,) in the squared unit of the images: 0 for a copy. NaN where nothing counts.

    Raises:
        OptionError: if the mask does not fit.
    """
    check_mask(mask, source)
    return mean_inside((source - fused).square(), mask).squeeze(1)


def peak_signal_to_noise_ratio(source: Tensor, fused: Tensor, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Return the peak signal-to-noise ratio of each source and its fused image (PSNR).

    Huynh-Thu and Ghanbari, "Scope of validity of PSNR in image/video quality assessment", Electronics Letters, 2008.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape, and the same scale.
        data_range: from the least to the largest value that the images can have, such as 255 for 8-bit levels.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,) decibel: infinity for a copy, 0 for an error as large as the range. NaN where nothing counts.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    check_range(data_range)
    return 10.0 * torch.log10(data_range**2 / mean_squared_error(source, fused, mask))
