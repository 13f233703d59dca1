"""How far the gray levels of a fused image rise and fall with those of its sources."""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask
from medfuse.metrics.numerics import ratio


def correlation(source: Tensor, fused: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the correlation coefficient of each source and its fused image (CC).

    Pearson's coefficient; as a measure of fusion in Deshmukh and Bhosale, "Image fusion and image quality assessment
    of fused images", International Journal of Image Processing, 2010, who take the mean over both sources. It does
    not change if the two images are exchanged, nor with the scale and the offset of either.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,): from -1 to 1, which a copy reaches. NaN where either is blank, or nothing counts.

    Raises:
        OptionError: if the mask does not fit.
    """
    check_mask(mask, source)
    source, fused = _deviations(source, mask), _deviations(fused, mask)
    norm_source: Tensor = torch.linalg.vector_norm(source, dim=1)
    norm_fused: Tensor = torch.linalg.vector_norm(fused, dim=1)
    blank = (norm_source == 0.0) | (norm_fused == 0.0)
    norms = (norm_source * norm_fused).masked_fill(blank, 1.0)  # so that a blank image sends back no NaN gradient
    return ((source * fused).sum(dim=1) / norms).masked_fill(blank, torch.nan)


def correlation_of_difference(source: Tensor, other: Tensor, fused: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the correlation of a source with what the fused image has beyond the other source.

    The share of one source in `sum_of_correlations_of_differences`. It does not see how much there is of it: the
    faintest trace of the source counts in full.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        other: same shape: the other source.
        fused: same shape, and the same scale.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,): from -1 to 1. NaN where the source is blank, or the fused image is a copy of the other source: then it
        has nothing beyond it, which is the worst that can happen to the source.

    Raises:
        OptionError: if the mask does not fit.
    """
    return correlation(source, fused - other, mask)


def sum_of_correlations_of_differences(
    first: Tensor, second: Tensor, fused: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Return the sum of the correlations of differences (SCD).

    Aslantas and Bendes, "A new image quality metric for image fusion: the sum of the correlations of differences",
    AEU International Journal of Electronics and Communications, 2015. It does not change if the sources are exchanged.

    Args:
        first: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        second: same shape, and the same scale.
        fused: same shape, and the same scale.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,): from -2 to 2, which the sum of two uncorrelated sources reaches. NaN where a source is blank, or the
        fused image is a copy of one of them.

    Raises:
        OptionError: if the mask does not fit.
    """
    share_first = correlation_of_difference(first, second, fused, mask)
    return share_first + correlation_of_difference(second, first, fused, mask)


def _deviations(image: Tensor, mask: Tensor | None) -> Tensor:
    """Return what is left of images, as rows (B, N), without their means: exactly nothing of a blank one."""
    rows = image.flatten(1)
    if mask is None:
        rows = rows - rows[:, :1].detach()
        return rows - rows.mean(dim=1, keepdim=True)
    inside = mask.flatten(1)
    some = rows.gather(1, inside.int().argmax(dim=1, keepdim=True))  # (B, 1), a level that counts
    rows = (rows - some.detach()).masked_fill(~inside, 0.0)
    mean = ratio(rows.sum(dim=1, keepdim=True), inside.sum(dim=1, keepdim=True))
    return (rows - mean).masked_fill(~inside, 0.0)
