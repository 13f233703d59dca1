"""How much information an image holds, and how much it shares with another.

Shannon, "A mathematical theory of communication", Bell System Technical Journal, 1948. All are counted on 8-bit gray
levels, so nothing can be learned by following their gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEVELS = 256


def entropy(image: Tensor) -> Tensor:
    """Return the entropy of the gray levels of each image (EN).

    The measure of Roberts, van Aardt and Ahmed, "Assessment of image fusion procedures using entropy, image quality,
    and multispectral classification", Journal of Applied Remote Sensing, 2008. Noise raises it too.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z): gray levels, 0 to 255; rounded to whole levels, and cut off
            at the ends of the range.

    Returns:
        (B,) bits: 0 for a blank image, 8 where all levels are equally frequent. NaN for an image with a value that is
        not finite.
    """
    levels = _whole_levels(image)
    return _unless_broken(_entropy_of(_counts(levels, _LEVELS)) / math.log(2.0), image)


def mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """Return the mutual information of each source and its fused image (MI).

    Qu, Zhang and Yan, "Information measure for performance of image fusion", Electronics Letters, 2002, who add it up
    over both sources. The sum hides the loss of one of them, so it is given for each source here. It does not change
    if the two images are exchanged.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z): gray levels, 0 to 255; rounded to whole levels, and cut off
            at the ends of the range.
        fused: same shape and range.

    Returns:
        (B,) nats, from 0 to the lesser of the two entropies; 0 where either is blank. NaN where either has a value
        that is not finite.
    """
    entropy_source, entropy_fused, entropy_joint = _entropies(source, fused)
    shared = (entropy_source + entropy_fused - entropy_joint).clamp_min(0.0)
    return _unless_broken(shared, source, fused)


def normalized_mutual_information(source: Tensor, fused: Tensor) -> Tensor:
    """Return the mutual information of each source and its fused image as a share of their entropies (NMI).

    Hossny, Nahavandi and Creighton, "Comments on 'Information measure for performance of image fusion'", Electronics
    Letters, 2008: without the division, the source of more entropy is favored.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z): gray levels, 0 to 255; rounded to whole levels, and cut off
            at the ends of the range.
        fused: same shape and range.

    Returns:
        (B,): twice the mutual information over the sum of the entropies, from 0 to 1, which is reached where each
        level of either image stands for one of the other. NaN where both are blank, or either has a value that is
        not finite.
    """
    entropy_source, entropy_fused, entropy_joint = _entropies(source, fused)
    total = entropy_source + entropy_fused
    return _unless_broken((2.0 * (total - entropy_joint) / total).clamp(0.0, 1.0), source, fused)


def _entropies(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the entropies of both images and of their pairs of levels, each (B,) nats."""
    pairs = _whole_levels(first) * _LEVELS + _whole_levels(second)
    joint = _counts(pairs, _LEVELS * _LEVELS).view(-1, _LEVELS, _LEVELS)
    return _entropy_of(joint.sum(dim=2)), _entropy_of(joint.sum(dim=1)), _entropy_of(joint.flatten(1))


def _whole_levels(image: Tensor) -> Tensor:
    return image.detach().nan_to_num().round().clamp(0, _LEVELS - 1).long().flatten(1)  # (B, N)


def _counts(labels: Tensor, kinds: int) -> Tensor:
    """Count how often each label occurs in each row of (B, N)."""
    batch = labels.shape[0]
    rows = torch.arange(batch, device=labels.device)[:, None] * kinds
    return torch.bincount((labels + rows).flatten(), minlength=batch * kinds).view(batch, kinds)


def _entropy_of(counts: Tensor) -> Tensor:
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    return 0.0 - torch.xlogy(shares, shares).sum(dim=1)  # subtracted, because negated it would be -0 for one label


def _unless_broken(values: Tensor, *images: Tensor) -> Tensor:
    """Return values in the type of the images, if it has fractions: NaN for images that hold one, or infinity."""
    finite = torch.stack([torch.isfinite(image).flatten(1).all(dim=1) for image in images]).all(dim=0)
    kind = images[0].dtype if images[0].is_floating_point() else torch.get_default_dtype()
    return values.to(kind).masked_fill(~finite, torch.nan)
