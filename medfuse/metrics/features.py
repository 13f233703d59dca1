"""How much a source's local features tell about those of a fused image.

Haghighat, Aghagolzadeh and Seyedarabi, "A non-reference image fusion metric based on mutual information of image
features", Computers and Electrical Engineering, 2011; in windows, as in Haghighat and Razian, "Fast-FMI: Non-reference
image fusion metric", AICT 2014.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from medfuse.metrics.masking import check_mask, check_planar, inner
from medfuse.metrics.numerics import length, ratio, root, shares_times_log

_WINDOW = 3  # pixels a side
_CHUNK = 1024  # windows at a time: what is made of them stays in the cache


def feature_mutual_information(source: Tensor, fused: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the feature mutual information of each source and its fused image (FMI), without the sum over sources.

    The feature is the length of the gradient, by central differences. In each window of 3 x 3 pixels that lies within
    the image, the features of source and fused image are taken for distributions over the 9 pixels, uniform where an
    image is flat. Their joint distribution is the one of Nelsen, "Discrete bivariate distributions with given
    marginals and correlation", Communications in Statistics, 1987: a mixture of independence and of the closest
    coupling, or the most opposite one, that has the correlation of the two. The value is twice their mutual
    information over the sum of their entropies, in single precision, averaged over the windows. Scale and offset of
    either image do not count, and the faintest noise counts like the strongest edge: use a mask.

    Args:
        source: (B, 1, H, W), any scale.
        fused: same shape.
        mask: bool of the same shape; windows count whose center is True.

    Returns:
        (B,): from 0 to 1, which a copy reaches. Windows in which the source has no feature, or both images have all
        of it at one pixel, tell nothing and do not count; NaN where none does.

    Raises:
        OptionError: if the images are volumes, or the mask does not fit.
    """
    check_planar(source, "feature mutual information")
    check_mask(mask, source)
    windows = [_windows(_features(image)) for image in (source, fused)]  # 9 maps (B, 1, H - 2, W - 2) each
    counted = reduce(torch.maximum, windows[0]) > 0.0
    centers = inner(mask, _WINDOW // 2)
    if centers is not None:
        counted &= centers
    shares = torch.full_like(windows[0][0], torch.nan)
    shares[counted] = _shares(*(torch.stack([pixel[counted] for pixel in maps]) for maps in windows))
    return shares.flatten(1).nanmean(dim=1)


def _features(image: Tensor) -> Tensor:
    return length(*torch.gradient(image, dim=(2, 3)))


def _windows(image: Tensor) -> list[Tensor]:
    """Return one map for each pixel of a window, at the places of the windows that lie within the image."""
    height, width = (side - _WINDOW + 1 for side in image.shape[2:])
    steps = range(_WINDOW)
    return [image[..., row : row + height, column : column + width] for row in steps for column in steps]


def _shares(source: Tensor, fused: Tensor) -> Tensor:
    """Return the normalized mutual information of windows (9, N): (N,), NaN for 0 / 0."""
    pairs = zip(torch.split(source.float(), _CHUNK, dim=1), torch.split(fused.float(), _CHUNK, dim=1), strict=True)
    return torch.cat([_normalized_information(*pair) for pair in pairs]).to(source.dtype)


def _normalized_information(first: Tensor, second: Tensor) -> Tensor:
    """Return twice the mutual information of features (9, N) over the sum of their entropies, (N,)."""
    correlation = _correlation(first, second)
    p, q = (ratio(window, window.sum(dim=0)).nan_to_num(nan=1.0 / len(window)) for window in (first, second))
    total = _entropy(p) + _entropy(q)
    joint = _joint(p, q, correlation)
    return ratio(2.0 * (total - _entropy(joint)), total).clamp(0.0, 1.0)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    first, second = first - first.mean(dim=0), second - second.mean(dim=0)
    scale = root(first.square().sum(dim=0) * second.square().sum(dim=0))
    return ratio((first * second).sum(dim=0), scale).nan_to_num()


def _joint(p: Tensor, q: Tensor, correlation: Tensor) -> Tensor:
    """Return the distribution over pairs (81, N) that has the marginals (9, N) and the correlation (N,)."""
    coupled = _coupling(p, q, correlation >= 0.0)
    place = torch.arange(len(p), dtype=p.dtype, device=p.device) - (len(p) - 1) / 2.0
    means, squares = ([power @ mass for mass in (p, q)] for power in (place, place.square()))
    spreads = [(square - mean.square()).clamp_min(0.0) for square, mean in zip(squares, means, strict=True)]
    reached = torch.outer(place, place).flatten() @ coupled.flatten(0, 1) - means[0] * means[1]
    wanted = correlation * (spreads[0] * spreads[1]).sqrt()
    weight = ratio(wanted, reached).nan_to_num().clamp(0.0, 1.0)
    return torch.lerp(p[:, None] * q[None], coupled, weight).flatten(0, 1)


def _coupling(p: Tensor, q: Tensor, close: Tensor) -> Tensor:
    """Return the closest (or most opposite) coupling: how much of the unit interval both of two pixels hold."""
    above_p, above_q = p.cumsum(dim=0), q.cumsum(dim=0)
    below_p, below_q = above_p - p, above_q - q
    above = torch.where(close, above_q, 1.0 - below_q)
    below = torch.where(close, below_q, 1.0 - above_q)
    ends = torch.minimum(above_p[:, None], above[None])
    return (ends - torch.maximum(below_p[:, None], below[None])).clamp_min(0.0)


def _entropy(shares: Tensor) -> Tensor:
    return -shares_times_log(shares).sum(dim=0)
