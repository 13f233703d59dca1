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
        size = 2 ** (_SCALES - scale) + 1
        kernel = _gaussian_kernel(size, size / 5.0, source)
        if scale > 0:
            source, fused = (F.conv2d(image, kernel)[..., ::2, ::2] for image in (source, fused))
        scale_kept, scale_available = _information(source, fused, kernel)
        kept, available = kept + scale_kept, available + scale_available
    blank = available == 0.0
    share = kept / available.masked_fill(blank, 1.0)  # so that a blank source sends back no NaN gradient
    return share.masked_fill(blank, torch.nan)


def _centered(image: Tensor) -> Tensor:
    """Shift gray levels, which the fidelity does not see, so that variances cancel few digits."""
    middle = (image.amax(dim=(1, 2, 3), keepdim=True) + image.amin(dim=(1, 2, 3), keepdim=True)) / 2.0
    return image - middle.detach()


def _information(source: Tensor, fused: Tensor, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the information of the source that one scale keeps, and all that it has, each (B,)."""
    mean_source, mean_fused = F.conv2d(source, kernel), F.conv2d(fused, kernel)
    var_source = (F.conv2d(source * source, kernel) - mean_source * mean_source).clamp_min(0.0)
    var_fused = (F.conv2d(fused * fused, kernel) - mean_fused * mean_fused).clamp_min(0.0)
    covariance = F.conv2d(source * fused, kernel) - mean_source * mean_fused

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


def _gaussian_kernel(size: int, sigma: float, like: Tensor) -> Tensor:
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2.0
    profile = torch.exp(-offsets.square() / (2.0 * sigma * sigma))
    profile = profile / profile.sum()
    return torch.outer(profile, profile)[None, None]  # (1, 1, size, size)
