"""Step 5 of 8, network: the Haar wavelet transform of one level, an orthogonal map to a grid half as fine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

BANDS = 4  # average, and three differences


def haar(x: Tensor) -> Tensor:
    """Map (N, C, H, W), H and W even, to the four bands of each channel, (N, 4 C, H/2, W/2); an orthogonal map."""
    blocks = _by_channel(F.pixel_unshuffle(x, 2))  # (N, C, 4, H/2, W/2)
    return torch.einsum("ij,ncjhw->ncihw", _haar_matrix(x), blocks).flatten(1, 2)


def unhaar(bands: Tensor) -> Tensor:
    """Map the bands (N, 4 C, H/2, W/2) back to (N, C, H, W)."""
    blocks = torch.einsum("ji,ncjhw->ncihw", _haar_matrix(bands), _by_channel(bands))
    return F.pixel_shuffle(blocks.flatten(1, 2), 2)


def _by_channel(bands: Tensor) -> Tensor:
    return bands.reshape(bands.shape[0], -1, BANDS, *bands.shape[2:])


def _haar_matrix(like: Tensor) -> Tensor:
    return 0.5 * like.new_tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
