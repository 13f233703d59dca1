"""Edges that a fused image invents, and edges that it loses.

No other measure of fusion tells what is in the fused image and in no source: for a reader it is the worst error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.metrics.foreground import local_maximum
from medfuse.metrics.masking import check_mask, check_range, sum_inside
from medfuse.metrics.numerics import length, ratio
from medfuse.metrics.windows import Window, gaussian_profile, padded

_SIGMA, _RADIUS = 1.0, 4  # pixels
_SALIENT = 0.02  # share of the range, per pixel
_REACH = 1  # pixels
_LEAST_SHARE = 0.5 * (1.0 - 1e-6)  # half as strong; the rest is for rounding


def invented_structure(
    first: Tensor, second: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> Tensor:
    """Return the share of the fused image's salient edge strength that is found in neither source.

    Edge strength is the length of the gradient, taken by Gaussian derivatives (sigma 1 pixel); it is salient from
    2 % of the range per pixel on. An edge is found where a source has, within 1 pixel along each axis, one at least
    half as strong. Direction and sign do not count: an inverted copy invents nothing.

    Args:
        first: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        second: same shape and range.
        fused: same shape and range.
        mask: bool of the same shape, True where edges of the fused image count; those of the sources are found
            outside too.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): from 0, the best, to 1. NaN where the fused image has no salient edge.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    _check(fused, mask, data_range)
    strengths = [edge_strength(source) for source in (first, second)]
    return share_not_found(edge_strength(fused), torch.maximum(*strengths), mask, data_range)


def lost_structure(source: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0) -> Tensor:
    """Return the share of the source's salient edge strength that is absent from the fused image.

    By the rule of `invented_structure`, the other way round: an edge is absent where the fused image has none of half
    its strength within 1 pixel. An edge of the other source at the same place hides the loss.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z).
        fused: same shape and range.
        mask: bool of the same shape, True where edges of the source count; those of the fused image are found
            outside too.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): from 0, the best, to 1. NaN where the source has no salient edge.

    Raises:
        OptionError: if the range is not above 0, or the mask does not fit.
    """
    _check(source, mask, data_range)
    return share_not_found(edge_strength(source), edge_strength(fused), mask, data_range)


def edge_strength(image: Tensor) -> Tensor:
    """Return the length of the gradient at each pixel, by Gaussian derivatives of sigma 1 pixel.

    Args:
        image: (B, 1, H, W), or volumes (B, 1, X, Y, Z); its outermost pixels go on beyond the border.

    Returns:
        Same shape: gray levels per pixel.
    """
    smooth = gaussian_profile(2 * _RADIUS + 1, _SIGMA, image)
    offsets = torch.arange(-_RADIUS, _RADIUS + 1, dtype=image.dtype, device=image.device)
    derivative = smooth * offsets / (smooth * offsets.square()).sum()  # 1 on a ramp of 1 per pixel
    axes = range(image.ndim - 2)
    wider = padded(image, _RADIUS)
    windows = [Window(*(derivative if axis == along else smooth for axis in axes)) for along in axes]
    return length(*(window.sums(wider) for window in windows))


def share_not_found(strength: Tensor, other: Tensor, mask: Tensor | None = None, data_range: float = 255.0) -> Tensor:
    """Return the share of salient edge strength that is not found in another image.

    Args:
        strength: (B, 1, H, W), or volumes (B, 1, X, Y, Z), from `edge_strength`.
        other: that of the image to look in, same shape.
        mask: bool of the same shape, True where edges count; the other's are found outside too.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): from 0 to 1. NaN where no edge is salient.
    """
    salient = strength * (strength >= _SALIENT * data_range)
    absent = local_maximum(other, _REACH) < _LEAST_SHARE * strength
    return ratio(sum_inside(salient * absent, mask), sum_inside(salient, mask)).squeeze(1)


def _check(image: Tensor, mask: Tensor | None, data_range: float) -> None:
    check_range(data_range)
    check_mask(mask, image)
