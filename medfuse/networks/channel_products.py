"""Step 5 of 8, network: channel attention from sums over pixels, which may be added up part by part of an image.

Attention across channels (Zamir et al., "Restormer", CVPR 2022) sees the whole image, but only through the products of
queries and keys and their squares. These are sums over pixels. So an image too large to be held is looked at twice:
once for the sums, and once to apply what follows from them.

Sums are (B, C * C/heads + 2C) float64: for each channel its query times the keys of its head, then the squares of the
queries, then those of the keys.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_NORM = 1e-12


def no_products(batch: int, channels: int, heads: int) -> Tensor:
    """Return sums over no pixel: zeros."""
    return torch.zeros(batch, channels * (channels // heads) + 2 * channels, dtype=torch.float64)


def products_of(queries_keys: Tensor, heads: int) -> Tensor:
    """Return the sums over some pixels.

    Args:
        queries_keys: (B, 2C, H, W).
        heads: number of attention heads.
    """
    pixels = queries_keys.flatten(2)  # (B, 2C, H*W)
    queries, keys = pixels.view(pixels.shape[0], 2, heads, -1, pixels.shape[2]).unbind(1)  # (B, heads, C/heads, H*W)
    return torch.cat([(queries @ keys.transpose(2, 3)).flatten(1), pixels.square().sum(dim=2)], dim=1).double()


def attention_matrices(sums: Tensor, temperature: Tensor, out: Tensor) -> Tensor:
    """Return, for each image, the matrix that mixes the values and projects the mixture.

    Args:
        sums: over all pixels of the image.
        temperature: (heads, 1, 1).
        out: (C, C, 1, 1), the projection after the attention.

    Returns:
        (B, C, C) float64.
    """
    batch, channels, heads = sums.shape[0], out.shape[0], temperature.shape[0]
    size = channels // heads
    products = sums[:, : channels * size].view(batch, heads, size, size)
    norms = sums[:, channels * size :].sqrt().clamp_min(_LEAST_NORM).view(batch, 2, heads, size)
    cosines = products / (norms[:, 0, :, :, None] * norms[:, 1, :, None, :])
    attention = (cosines * temperature).softmax(dim=-1)  # (B, heads, C/heads, C/heads)
    projection = out.double().view(channels, heads, size)
    return torch.einsum("ohi,bhij->bohj", projection, attention).reshape(batch, channels, channels)
