"""How much of a source's information a fused image keeps.

Sheikh and Bovik, "Image information and visual quality", IEEE Transactions on Image Processing, 2006; the
pixel-domain form over four scales.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_SCALES = 4
_NOISE_VARIANCE = 2.0
_EPS = 1e-10


def visual_information_fidelity(source: Tensor, fused: Tensor) -> Tensor:
    """Return the pixel-domain visual information fidelity of each image.

    The visual noise of the model is fixed for gray levels of 0 to 255: scale images in [0, 1] by 255 first.

    Args:
        source: (B, 1, H, W) gray levels, 0 to 255; H and W at least 41.
        fused: same shape and range.

    Returns:
        (B,): 0 where nothing of the source is left, 1 for a copy, above 1 for a copy of higher contrast. NaN
        for a blank source, which has no information to keep.
    """
    source, fused = _centered(source), _centered(fused)
    kept = torch.zeros(source.shape[0], dtype=source.dtype, device=source.device)
    available = torch.zeros_like(kept)
    for scale in range(_SCALES):
        profile = _gaussian_profile(2 ** (_SCALES - scale) + 1, source)
        if scale > 0:
            source, fused = _blur([source, fused], profile)
            source, fused = source[..., ::2, ::2], fused[..., ::2, ::2]
        scale_kept, scale_available = _information(source, fused, profile)
        kept, available = kept + scale_kept, available + scale_available
    blank = available == 0.0
    share = kept / available.masked_fill(blank, 1.0)  # so that a blank source sends back no NaN gradient
    return share.masked_fill(blank, torch.nan)


def _centered(image: Tensor) -> Tensor:
    """Shift gray levels, which the fidelity does not see, so that variances cancel few digits."""
    middle = (image.amax(dim=(1, 2, 3), keepdim=True) + image.amin(dim=(1, 2, 3), keepdim=True)) / 2.0
    return image - middle.detach()


def _information(source: Tensor, fused: Tensor, profile: Tensor) -> tuple[Tensor, Tensor]:
    """Return the information of the source that one scale keeps, and all that it has, each (B,)."""
    maps = _blur([source, fused, source * source, fused * fused, source * fused], profile)
    mean_source, mean_fused, square_source, square_fused, product = maps
    var_source = (square_source - mean_source * mean_source).clamp_min(0.0)
    var_fused = (square_fused - mean_fused * mean_fused).clamp_min(0.0)
    covariance = product - mean_source * mean_fused

    gain = covariance / (var_source + _EPS)
    distortion = var_fused - gain * covariance
    blank_source, blank_fused = var_source < _EPS, var_fused < _EPS
    gain = gain.masked_fill(blank_source | blank_fused, 0.0)
    distortion = torch.where(blank_source, var_fused, distortion).masked_fill(blank_fused, 0.0)
    distortion = torch.where(gain < 0.0, var_fused, distortion).clamp_min(_EPS)
    gain = gain.clamp_min(0.0)
    var_source = var_source.masked_fill(blank_source, 0.0)

    kept = torch.log10(1.0 + gain * gain * var_source / (distortion + _NOISE_VARIANCE))
    available = torch.log10(1.0 + var_source / _NOISE_VARIANCE)
    return kept.sum(dim=(1, 2, 3)), available.sum(dim=(1, 2, 3))


def _blur(images: list[Tensor], profile: Tensor) -> list[Tensor]:
    """Average each window of images (B, 1, H, W), one axis after the other."""
    rows = F.conv2d(torch.cat(images), profile[None, None, None, :])
    return list(F.conv2d(rows, profile[None, None, :, None]).chunk(len(images)))


def _gaussian_profile(size: int, like: Tensor) -> Tensor:
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2.0
    profile = torch.exp(-offsets.square() / (2.0 * (size / 5.0) ** 2))
    return profile / profile.sum()  # (size,)
