"""How much information an image holds, and how much it shares with another.

Shannon, "A mathematical theory of communication", Bell System Technical Journal, 1948. All are counted on 256 gray
levels over the range, so nothing can be learned by following their gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask, check_range
from medfuse.metrics.numerics import ratio, shares_times_log

_LEVELS = 256


def entropy(image: Tensor, mask: Tensor | None = None, data_range: float = 255.0) -> Tensor:
    """Return the entropy of the gray levels of each image (EN).

    The measure of Roberts, van Aardt and Ahmed, "Assessment of image fusion procedures using entropy, image quality,
    and multispectral classification", Journal of Applied Remote Sensing, 2008. Noise raises it too.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z): values from 0 to the range; rounded to the nearest of 256
            levels, and cut off at the ends of the range.
        mask: bool of the same shape, True where pixels count.
        data_range: the largest value; 255 for 8-bit levels, which are taken as they are.

    Returns:
        (B,) bits: 0 for a blank image, 8 where all levels are equally frequent. NaN for an image with a value that is
        not finite where it counts, or where nothing counts.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, image)
    counts = _counts(_levels(image, data_range), _LEVELS, mask)
    return _unless_broken(_entropy_of(counts) / math.log(2.0), mask, image)


def mutual_information(source: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0) -> Tensor:
    """Return the mutual information of each source and its fused image (MI).

    Qu, Zhang and Yan, "Information measure for performance of image fusion", Electronics Letters, 2002, who add it up
    over both sources. The sum hides the loss of one of them, so it is given for each source here. It does not change
    if the two images are exchanged.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z): values from 0 to the range; rounded to the nearest of 256
            levels, and cut off at the ends of the range.
        fused: same shape and range.
        mask: bool of the same shape, True where pixels count.
        data_range: the largest value; 255 for 8-bit levels, which are taken as they are.

    Returns:
        (B,) nats, from 0 to the lesser of the two entropies; 0 where either is blank. NaN where either has a value
        that is not finite where it counts, or where nothing counts.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    entropy_source, entropy_fused, entropy_joint = _entropies(source, fused, mask, data_range)
    shared = (entropy_source + entropy_fused - entropy_joint).clamp_min(0.0)
    return _unless_broken(shared, mask, source, fused)


def normalized_mutual_information(
    source: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> Tensor:
    """Return the mutual information of each source and its fused image as a share of their entropies (NMI).

    Hossny, Nahavandi and Creighton, "Comments on 'Information measure for performance of image fusion'", Electronics
    Letters, 2008: without the division, the source of more entropy is favored.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z): values from 0 to the range; rounded to the nearest of 256
            levels, and cut off at the ends of the range.
        fused: same shape and range.
        mask: bool of the same shape, True where pixels count.
        data_range: the largest value; 255 for 8-bit levels, which are taken as they are.

    Returns:
        (B,): twice the mutual information over the sum of the entropies, from 0 to 1, which is reached where each
        level of either image stands for one of the other. NaN where both are blank, or either has a value that is
        not finite where it counts, or where nothing counts.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    entropy_source, entropy_fused, entropy_joint = _entropies(source, fused, mask, data_range)
    total = entropy_source + entropy_fused
    return _unless_broken((2.0 * ratio(total - entropy_joint, total)).clamp(0.0, 1.0), mask, source, fused)


def _entropies(first: Tensor, second: Tensor, mask: Tensor | None, data_range: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the entropies of both images and of their pairs of levels, each (B,) nats."""
    check_range(data_range)
    check_mask(mask, first)
    pairs = _levels(first, data_range) * _LEVELS + _levels(second, data_range)
    joint = _counts(pairs, _LEVELS * _LEVELS, mask).view(-1, _LEVELS, _LEVELS)
    return _entropy_of(joint.sum(dim=2)), _entropy_of(joint.sum(dim=1)), _entropy_of(joint.flatten(1))


def _levels(image: Tensor, data_range: float) -> Tensor:
    values = image.detach().nan_to_num() * ((_LEVELS - 1) / data_range)
    return values.round().clamp(0, _LEVELS - 1).long().flatten(1)  # (B, N)


def _counts(labels: Tensor, kinds: int, mask: Tensor | None) -> Tensor:
    """Count how often each label occurs in each row of (B, N), where it counts."""
    batch = labels.shape[0]
    labels = labels + torch.arange(batch, device=labels.device)[:, None] * kinds
    counted = labels.flatten() if mask is None else labels[mask.flatten(1)]
    return torch.bincount(counted, minlength=batch * kinds).view(batch, kinds)


def _entropy_of(counts: Tensor) -> Tensor:
    """Return the entropy of each row of counts, (B,) nats: NaN for a row of nothing."""
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    return 0.0 - shares_times_log(shares).sum(dim=1)  # subtracted, because negated it would be -0 for one label


def _unless_broken(values: Tensor, mask: Tensor | None, *images: Tensor) -> Tensor:
    """Return values in the type of the images, if it has fractions: NaN for images that hold one, or infinity."""
    outside = torch.zeros_like(images[0], dtype=torch.bool) if mask is None else ~mask
    finite = torch.stack([(torch.isfinite(image) | outside).flatten(1).all(dim=1) for image in images]).all(dim=0)
    kind = images[0].dtype if images[0].is_floating_point() else torch.get_default_dtype()
    return values.to(kind).masked_fill(~finite, torch.nan)
