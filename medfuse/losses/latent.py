"""Losses on samples and latents: whether two samples are of one distribution, and how likely a latent is.

Gretton et al., "A Kernel Two-Sample Test", JMLR 2012; with the kernel of Ardizzone et al., "Analyzing Inverse Problems
with Invertible Neural Networks", ICLR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SCALES = (0.2, 0.5, 1.0, 2.0, 5.0)


def maximum_mean_discrepancy(x: Tensor, y: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """Return the squared maximum mean discrepancy of two samples.

    Its kernels are inverse multiquadrics, ``1 / (1 + |x - y|^2 / h^2)``, averaged over scales h. Their tails are heavy,
    so that samples far apart still pull on each other.

    Args:
        x: (N, D).
        y: (M, D); N and M may differ.
        scales: the scales h, in the unit of the samples, above 0.

    Returns:
        A scalar, at least 0 within rounding (the biased estimate), below 2; 0 for equal samples.
    """
    within = _kernel(x, x, scales).mean() + _kernel(y, y, scales).mean()
    return within - 2.0 * _kernel(x, y, scales).mean()


def normality_loss(latent: Tensor, log_determinant: Tensor) -> Tensor:
    """Return the negative log-likelihood of what was mapped to a latent ``N(0, I)``, for each dimension.

    Without the constant, so that a latent that was standard normal before the map costs 1/2.

    Args:
        latent: (N, ...).
        log_determinant: of the map to it, (N,).

    Returns:
        A scalar.
    """
    squares = 0.5 * latent.flatten(1).square().sum(dim=1)
    return (squares - log_determinant).mean() / latent[0].numel()


def _kernel(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Return the kernel between all members of two samples, (N, M)."""
    products = x @ y.T
    squares = (x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2.0 * products).clamp_min(0.0)
    return torch.stack([1.0 / (1.0 + squares / scale**2) for scale in scales]).mean(dim=0)
