"""Whether a source's numbers, HU or SUV, can be read back from the gray levels of the fused image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask, check_range
from medfuse.metrics.numerics import ratio

_LEVELS = 256


class Recovery(NamedTuple):
    """How well a source's numbers can be read back.

    Attributes:
        rms_error: (B,) root of the mean squared error of the best reading, in the unit of the source.
        explained: (B,) share of the variance that the best reading explains, from 0 to 1 for a lossless one (R^2);
            NaN where the source is constant.
    """

    rms_error: Tensor
    explained: Tensor


def recoverability(values: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0) -> Recovery:
    """Read a source's numbers back from the fused image as well as can be done, and tell how far off that is.

    The best reading gives each of 256 gray levels the mean of the numbers found there, so no other table or formula
    from gray to HU or SUV has a smaller error (Pearson's correlation ratio). It is made for each image by itself, with
    its numbers at hand: an upper bound on what a reader can do. A level that occurs once is read without error, so
    judge many pixels: the whole head, or a volume.

    Args:
        values: (B, 1, H, W), or volumes (B, 1, X, Y, Z): the source's own numbers, such as HU, before any window.
        fused: same shape: gray levels, 0 to the range; rounded to 256 levels.
        mask: bool of the same shape, True where pixels count.
        data_range: the width of the range of gray levels.

    Returns:
        Root mean squared error and explained share of the variance, NaN where nothing counts.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, fused)
    inside = torch.ones_like(fused, dtype=torch.bool) if mask is None else mask
    weights = inside.flatten(1).double()
    numbers = values.flatten(1).double().masked_fill(weights == 0.0, 0.0)
    count = weights.sum(dim=1)
    numbers = (numbers - ratio(numbers.sum(dim=1), count)[:, None]).masked_fill(weights == 0.0, 0.0)
    levels = (fused.flatten(1) * ((_LEVELS - 1) / data_range)).round().clamp(0, _LEVELS - 1).long()
    sums = _per_level(numbers, levels)
    explained = ratio(sums.square(), _per_level(weights, levels)).nan_to_num().sum(dim=1)
    total = numbers.square().sum(dim=1)
    return Recovery(ratio((total - explained).clamp_min(0.0), count).sqrt(), ratio(explained, total))


def _per_level(values: Tensor, levels: Tensor) -> Tensor:
    """Add up values (B, N) by gray level, (B, 256)."""
    return values.new_zeros(values.shape[0], _LEVELS).scatter_add(1, levels, values)
