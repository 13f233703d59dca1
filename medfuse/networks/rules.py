"""Step 5 of 8, network: the trivial fusion rules, to compare every network with.

Each maps (N, 2, H, W) in [0, 1] to (N, 1, H, W) in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

FusionRule: TypeAlias = Callable[[Tensor], Tensor]

_LEVELS = 5
_SMALLEST_SIDE = 8
_KERNEL, _SIGMA = (5, 5), (1.0, 1.0)


def maximum(image: Tensor) -> Tensor:
    """Take the brighter source at each pixel."""
    return image.amax(dim=1, keepdim=True)


def average(image: Tensor) -> Tensor:
    """Take the mean of both sources."""
    return image.mean(dim=1, keepdim=True)


def laplacian_pyramid(image: Tensor) -> Tensor:
    """Take the stronger detail of both sources at each scale, and the mean of what remains.

    Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Transactions on Communications, 1983.
    """
    details: list[Tensor] = []
    remaining = image
    while len(details) < _LEVELS and min(remaining.shape[-2:]) >= _SMALLEST_SIDE:
        smaller = gaussian_blur2d(remaining, _KERNEL, _SIGMA)[..., ::2, ::2]
        details.append(remaining - _enlarge(smaller, remaining))
        remaining = smaller
    fused = average(remaining)
    for detail in reversed(details):
        bright, dark = detail.amax(dim=1, keepdim=True), detail.amin(dim=1, keepdim=True)  # (N, 1, H, W)
        fused = _enlarge(fused, detail) + torch.where(bright >= -dark, bright, dark)
    return fused.clamp(0.0, 1.0)


RULES: dict[str, FusionRule] = {"max": maximum, "average": average, "laplacian": laplacian_pyramid}


def _enlarge(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image, size=torch.Size(like.shape[-2:]), mode="bilinear", align_corners=False)
