"""The decomposition loss: base features of the two modalities alike, detail features unlike.

Zhao et al., "CDDFuse", CVPR 2023, equation 8.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_DENOMINATOR = 1e-7
_OFFSET = 1.01  # keeps the ratio finite and positive for every correlation above -1.01


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Return the Pearson correlation over the pixels, averaged over batch and channels.

    Args:
        x: (B, C, H, W).
        y: same shape.

    Returns:
        A scalar in [-1, 1]; a flat channel correlates 0 with any other.
    """
    x = x.flatten(2) - x.flatten(2).mean(dim=-1, keepdim=True)  # (B, C, H*W)
    y = y.flatten(2) - y.flatten(2).mean(dim=-1, keepdim=True)
    covariance = (x * y).sum(dim=-1)
    scale = torch.linalg.vector_norm(x, dim=-1) * torch.linalg.vector_norm(y, dim=-1)  # flat: slope 0, not NaN
    coefficients: Tensor = covariance / (scale + _LEAST_DENOMINATOR)
    return coefficients.clamp(-1.0, 1.0).mean()


def decomposition_loss(base_a: Tensor, base_b: Tensor, detail_a: Tensor, detail_b: Tensor) -> Tensor:
    """Return correlation(details)^2 / (1.01 + correlation(bases)).

    Args:
        base_a: base features of the first modality, (B, C, H, W).
        base_b: base features of the second.
        detail_a: detail features of the first.
        detail_b: detail features of the second.

    Returns:
        A scalar, at least 0.
    """
    return correlation(detail_a, detail_b).square() / (_OFFSET + correlation(base_a, base_b))
