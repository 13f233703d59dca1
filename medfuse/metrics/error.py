"""How far the gray levels of a fused image are from those of a source.

A fused image has to differ from each of its sources: these tell how, not how well, it was fused.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.errors import OptionError


def mean_squared_error(source: Tensor, fused: Tensor) -> Tensor:
    """Return the mean squared difference of each source and its fused image (MSE).

    Wang and Bovik, "Mean squared error: Love it or leave it?", IEEE Signal Processing Magazine, 2009.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape, and the same scale.

    Returns:
        (B,) in the squared unit of the images: 0 for a copy.
    """
    return (source - fused).square().flatten(1).mean(dim=1)


def peak_signal_to_noise_ratio(source: Tensor, fused: Tensor, data_range: float) -> Tensor:
    """Return the peak signal-to-noise ratio of each source and its fused image (PSNR).

    Huynh-Thu and Ghanbari, "Scope of validity of PSNR in image/video quality assessment", Electronics Letters, 2008.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape, and the same scale.
        data_range: from the least to the largest value that the images can have, such as 255 for 8-bit levels.

    Returns:
        (B,) decibel: infinity for a copy, 0 for an error as large as the range.

    Raises:
        OptionError: if the range is not above 0.
    """
    if not data_range > 0.0:
        msg = f"data_range is {data_range}; give the width of the range of gray levels, such as 255"
        raise OptionError(msg)
    return 10.0 * torch.log10(data_range**2 / mean_squared_error(source, fused))
