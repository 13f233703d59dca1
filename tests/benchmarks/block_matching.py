"""A filter by block matching and collaborative filtering, for comparison: written from the paper, for known noise.

Dabov, Foi, Katkovnik and Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative filtering", IEEE
Transactions on Image Processing 16 (2007). Noise that is not white has a variance of its own at each frequency of a
block, as in Maekinen, Azzari and Foi, "Collaborative filtering of correlated noise", IEEE Transactions on Image
Processing 29 (2020), of which this takes the variances within a block, not those between matched blocks.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dctn
from scipy.linalg import hadamard
from torch import Tensor
from torch.nn import functional

BLOCK = 8
_STEP, _RADIUS, _GROUP = 3, 12, 16
_FAR = 1e3  # value of what lies outside, unlike any other
_THRESHOLD = 2.7  # of the standard deviation of a coefficient


def block_variances(noises: np.ndarray) -> np.ndarray:
    """Return the variance of each coefficient of a block of noise, (8, 8), from samples of it (N, H, W)."""
    blocks = np.lib.stride_tricks.sliding_window_view(noises, (BLOCK, BLOCK), axis=(1, 2))[:, ::4, ::4]
    return (dctn(blocks, axes=(-2, -1), norm="ortho") ** 2).mean(axis=(0, 1, 2))


def block_matched(image: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Filter a picture (H, W) whose noise has the given variances (8, 8) of the coefficients of a block."""
    beyond = [(0, -(length - BLOCK) % _STEP) for length in image.shape]  # so that the last blocks end at the border
    noisy = torch.from_numpy(np.pad(image, beyond, mode="reflect").astype(np.float32))
    variance = torch.from_numpy(np.asarray(variances, dtype=np.float32))
    basic = _stage(noisy, noisy, variance, wiener=False)
    return _stage(noisy, basic, variance, wiener=True).numpy()[: image.shape[0], : image.shape[1]]


def _stage(noisy: Tensor, guide: Tensor, variance: Tensor, wiener: bool) -> Tensor:
    corners = _matches(guide)  # (groups, members)
    rows = torch.arange(BLOCK)[:, None] * noisy.shape[1] + torch.arange(BLOCK)
    places = corners[:, :, None] + rows.flatten()  # (groups, members, 64)
    spectrum = _transformed(noisy.flatten()[places])
    spread = variance.flatten()
    if wiener:
        power = _transformed(guide.flatten()[places]) ** 2
        gain = power / (power + spread)
        weight = 1.0 / (gain.square() * spread).sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    else:
        gain = (spectrum.abs() > _THRESHOLD * spread.sqrt()).float()
        gain[:, 0, 0] = 1.0
        weight = 1.0 / (gain * spread).sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    blocks = _restored(spectrum * gain)
    window = torch.from_numpy(np.outer(np.kaiser(BLOCK, 2.0), np.kaiser(BLOCK, 2.0))).float().flatten() * weight
    window = window.expand_as(blocks)
    sums, weights = (torch.zeros(noisy.numel()) for _ in range(2))
    sums.index_add_(0, places.flatten(), (blocks * window).flatten())
    weights.index_add_(0, places.flatten(), window.flatten())
    return (sums / weights).view_as(noisy)


def _matches(guide: Tensor) -> Tensor:
    """Return the corners of the blocks most like each reference block, itself first, as places in the flat picture."""
    height, width = guide.shape
    down, right = (torch.arange(0, length - BLOCK + 1, _STEP) for length in (height, width))
    padded = functional.pad(guide[None, None], [_RADIUS] * 4, value=_FAR)[0, 0]
    distances, shifts = [], []
    for y in range(-_RADIUS, _RADIUS + 1):
        for x in range(-_RADIUS, _RADIUS + 1):
            moved = padded[_RADIUS + y : _RADIUS + y + height, _RADIUS + x : _RADIUS + x + width]
            sums = functional.avg_pool2d((guide - moved).square()[None, None], BLOCK, stride=_STEP)
            distances.append(sums.flatten() if (y, x) != (0, 0) else torch.full((sums.numel(),), -1.0))
            shifts.append(y * width + x)
    nearest = torch.stack(distances).topk(_GROUP, dim=0, largest=False).indices  # (members, groups)
    corners = (down[:, None] * width + right).flatten()
    return (corners + torch.tensor(shifts)[nearest]).T


_COSINES = torch.from_numpy(dctn(np.eye(BLOCK), axes=0, norm="ortho")).float()
_MEMBERS = torch.from_numpy(hadamard(_GROUP) / np.sqrt(_GROUP)).float()


def _transformed(blocks: Tensor) -> Tensor:
    """Transform (groups, members, 64) along the blocks and across the members."""
    square = blocks.unflatten(2, (BLOCK, BLOCK))
    return _MEMBERS @ (_COSINES @ square @ _COSINES.T).flatten(2)


def _restored(spectrum: Tensor) -> Tensor:
    square = (_MEMBERS.T @ spectrum).unflatten(2, (BLOCK, BLOCK))
    return (_COSINES.T @ square @ _COSINES).flatten(2)
