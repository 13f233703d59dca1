"""How much of the sources' edges a fused image keeps.

Xydeas and Petrovic, "Objective image fusion performance measure", Electronics Letters, 2000.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_STRENGTH = (0.9994, -15.0, 0.5)  # Gamma, kappa and sigma of the strength sigmoid
_ORIENTATION = (0.9879, -22.0, 0.8)  # the same of the orientation sigmoid
_LEAST_GRADIENT = 1e-6  # gray levels; below it orientation is that of rounding, and its derivative overflows
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def edge_transfer(first: Tensor, second: Tensor, fused: Tensor) -> Tensor:
    """Return Q^AB/F: the share of both sources' edges, weighted by strength, found in the fused image.

    Args:
        first: (B, 1, H, W) gray levels, 0 to 255.
        second: same shape and range.
        fused: same shape and range.

    Returns:
        (B,): from 0 to 0.975, which a perfect copy of all edges reaches. NaN where neither source has an
        edge.
    """
    edges_fused = _edges(fused)
    total, weight = _weighted_transfer(_edges(first), edges_fused)
    total_second, weight_second = _weighted_transfer(_edges(second), edges_fused)
    return _share(total + total_second, weight + weight_second)


def source_edge_transfer(source: Tensor, fused: Tensor) -> Tensor:
    """Return the share of one source's edges, weighted by strength, found in the fused image.

    Args:
        source: (B, 1, H, W) gray levels, 0 to 255.
        fused: same shape and range.

    Returns:
        (B,): from 0 to 0.975. NaN where the source has no edge.
    """
    total, weight = _weighted_transfer(_edges(source), _edges(fused))
    return _share(total, weight)


def _share(total: Tensor, weight: Tensor) -> Tensor:
    """Divide, giving NaN (but no NaN gradient) where nothing can be shared."""
    blank = weight == 0.0
    return (total / weight.masked_fill(blank, 1.0)).masked_fill(blank, torch.nan)


def _edges(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return strength and orientation (radians) of the Sobel edges."""
    kernel_x = image.new_tensor(_SOBEL)
    kernels = torch.stack([kernel_x, kernel_x.T.flip(0)])[:, None]  # (2, 1, 3, 3)
    gradients = F.conv2d(image, kernels, padding=1)
    strength = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)  # its derivative at 0 is 0, not NaN
    gradient_x, gradient_y = gradients.chunk(2, dim=1)
    steep = gradient_x.abs() < _LEAST_GRADIENT
    slope = gradient_y / gradient_x.masked_fill(steep, 1.0)
    return strength, torch.atan(slope).masked_fill(steep, math.pi / 2.0)


def _weighted_transfer(source: tuple[Tensor, Tensor], fused: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    strength, orientation = source
    strength_fused, orientation_fused = fused
    weaker, stronger = torch.minimum(strength, strength_fused), torch.maximum(strength, strength_fused)
    equal = strength == strength_fused
    ratio = torch.where(equal, strength_fused, weaker / stronger.clamp_min(1e-12))
    agreement = 1.0 - (orientation - orientation_fused).abs() * 2.0 / math.pi
    transfer = _sigmoid(ratio, _STRENGTH) * _sigmoid(agreement, _ORIENTATION)
    return (transfer * strength).sum(dim=(1, 2, 3)), strength.sum(dim=(1, 2, 3))


def _sigmoid(x: Tensor, parameters: tuple[float, float, float]) -> Tensor:
    gamma, kappa, sigma = parameters
    return gamma / (1.0 + torch.exp(kappa * (x - sigma)))
