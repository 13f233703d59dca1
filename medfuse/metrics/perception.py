"""How a fused image looks beside its sources to an eye that is blind to some frequencies.

The contrast sensitivity is a difference of two Gaussians in frequency, as in Ahumada, "Simplified vision models for
image-quality assessment", SID Digest of Technical Papers, 1996.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.metrics.masking import check_mask, check_planar, check_range, mean_inside
from medfuse.metrics.numerics import length, ratio
from medfuse.metrics.windows import Window, gaussian_profile, padded

_GRAY_LEVELS = 255.0
_REGION = 16  # pixels a side
_SOBEL = (-1.0, 0.0, 1.0), (1.0, 2.0, 1.0)
_SIGMA = 2.0  # pixels; the surround of the local contrast has twice as much
_LEAST_EXCITATION = 1e-4


class _Sensitivity(NamedTuple):
    """Contrast sensitivity: cutoffs of center and surround in cycles per degree, and the surround's weight."""

    center: float
    surround: float
    weight: float

    def of(self, height: int, width: int, pixels_per_degree: float, like: Tensor) -> Tensor:
        """Return the sensitivity to each frequency of an image, (height, width // 2 + 1)."""
        rows = torch.fft.fftfreq(height, dtype=like.dtype, device=like.device)[:, None]
        columns = torch.fft.rfftfreq(width, dtype=like.dtype, device=like.device)
        squares = (rows.square() + columns.square()) * pixels_per_degree**2
        return torch.exp(-squares / self.center**2) - self.weight * torch.exp(-squares / self.surround**2)


_VARSHNEY = _Sensitivity(97.3227, 12.1653, 0.685)
_BLUM = _Sensitivity(15.3870, 1.3456, 0.7622)


def regional_difference(
    first: Tensor,
    second: Tensor,
    fused: Tensor,
    mask: Tensor | None = None,
    data_range: float = 255.0,
    pixels_per_degree: float = 64.0,
) -> Tensor:
    """Return Q_CV: the visible difference of a fused image to its sources, where each of them is salient.

    Chen and Varshney, "A human perception inspired quality metric for image fusion based on regional information",
    Information Fusion, 2007. In each region of 16 x 16 pixels, the squared difference to each source, weighted by the
    eye's sensitivity to its frequencies, counts by the source's saliency: the sum of the fifth power of its edge
    strength. A few strong edges thus decide; what happens in smooth tissue is not seen.

    Args:
        first: (B, 1, H, W) gray levels, 0 to the range.
        second: same shape and range.
        fused: same shape and range.
        mask: bool of the same shape, True where differences and edges count.
        data_range: the width of the range of gray levels; the result is that of 0 to 255.
        pixels_per_degree: how fine the picture is to the eye; with 64, one of 256 pixels is seen under 4 degrees.

    Returns:
        (B,) squared gray levels: 0, the best, for equal images. NaN where no source has an edge that counts.

    Raises:
        OptionError: if the range is not above 0, the images are volumes, or the mask does not fit.
    """
    check_range(data_range)
    check_planar(fused, "Q_CV")
    check_mask(mask, fused)
    inside = torch.ones_like(fused, dtype=torch.bool) if mask is None else mask
    scale = _GRAY_LEVELS / data_range
    sources, fused = torch.cat([first, second], dim=1) * scale, fused * scale
    strength = _sobel_strength(sources)
    saliency = _regions(strength.square().square() * strength * inside).sum(dim=(-2, -1))  # (B, 2, regions)
    differences = _regions((sources - fused).masked_fill(~inside, 0.0))
    seen = torch.fft.rfft2(differences) * _VARSHNEY.of(_REGION, _REGION, pixels_per_degree, fused)
    energy = torch.fft.irfft2(seen, s=(_REGION, _REGION)).square().sum(dim=(-2, -1))
    visible = ratio(energy, _regions(inside.to(fused.dtype)).sum(dim=(-2, -1))).nan_to_num()
    return ratio((saliency * visible).sum(dim=(1, 2)), saliency.sum(dim=(1, 2)))


def contrast_preservation(
    first: Tensor, second: Tensor, fused: Tensor, mask: Tensor | None = None, pixels_per_degree: float = 256.0 / 15.0
) -> Tensor:
    """Return Q_CB: how well the fused image keeps the local contrast of the source that has more of it.

    Chen and Blum, "A new automated quality assessment algorithm for image fusion", Image and Vision Computing, 2009.
    At each pixel the local contrast of each image, after the eye's sensitivity to frequencies and after masking, is
    compared with that of each source, the lesser over the greater; the sources count by the square of their contrast.
    Contrast is relative to local brightness, so the dark background counts as much as tissue: use a mask. The sign of
    contrast does not count, and added contrast is punished as a loss is.

    Args:
        first: (B, 1, H, W) gray levels from 0 on.
        second: same shape and range.
        fused: same shape; the scale does not count.
        mask: bool of the same shape, True where pixels count; the filters see what is around it.
        pixels_per_degree: how fine the picture is to the eye; as it is, one of 256 pixels is seen under 15 degrees.

    Returns:
        (B,): from 0 to 1, which a copy of two equal sources reaches. NaN where nothing counts.

    Raises:
        OptionError: if the images are volumes, or the mask does not fit.
    """
    check_planar(fused, "Q_CB")
    check_mask(mask, fused)
    contrast = _masked_contrast(torch.cat([first, second, fused], dim=1), pixels_per_degree)
    sources, kept = contrast[:, :2], contrast[:, 2:]
    lesser, greater = torch.minimum(sources, kept), torch.maximum(sources, kept)
    preserved = ratio(lesser, greater).nan_to_num(nan=1.0)  # where neither has contrast, nothing was lost
    weights = sources.square()
    shares = ratio(weights, weights.sum(dim=1, keepdim=True)).nan_to_num(nan=0.5)
    return mean_inside((shares * preserved).sum(dim=1, keepdim=True), mask).squeeze(1)


def _sobel_strength(images: Tensor) -> Tensor:
    wider = padded(images, 1)
    steps, smooth = (images.new_tensor(profile) for profile in _SOBEL)
    return length(Window(steps, smooth).sums(wider), Window(smooth, steps).sums(wider))


def _regions(images: Tensor) -> Tensor:
    """Cut images (B, C, H, W) into regions (B, C, N, 16, 16), with zeros beyond the border."""
    beyond = [-side % _REGION for side in images.shape[-2:]]
    filled = F.pad(images, (0, beyond[1], 0, beyond[0]))
    return filled.unfold(2, _REGION, _REGION).unfold(3, _REGION, _REGION).flatten(2, 3)


def _masked_contrast(images: Tensor, pixels_per_degree: float) -> Tensor:
    """Return the local contrast of each pixel as the eye tells it from its surroundings, at least 0."""
    height, width = images.shape[2:]
    sensitivity = _BLUM.of(height, width, pixels_per_degree, images)
    seen = torch.fft.irfft2(torch.fft.rfft2(images) * sensitivity, s=(height, width))
    center, surround = (_smoothed(seen, sigma) for sigma in (_SIGMA, 2.0 * _SIGMA))
    contrast = (ratio(center, surround) - 1.0).nan_to_num(posinf=0.0, neginf=0.0).abs()
    return contrast**3 / (contrast.square() + _LEAST_EXCITATION)


def _smoothed(images: Tensor, sigma: float) -> Tensor:
    radius = round(4.0 * sigma)
    return Window(gaussian_profile(2 * radius + 1, sigma, images)).sums(padded(images, radius))
