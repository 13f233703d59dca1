"""How much of a source's information a fused image keeps.

Sheikh and Bovik, "Image information and visual quality", IEEE Transactions on Image Processing, 2006; the
pixel-domain form over four scales.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.masking import check_mask, check_planar, check_range, inner, sum_inside
from medfuse.metrics.numerics import ratio
from medfuse.metrics.windows import Window, WindowMoments, gaussian_profile

_SCALES = 4
_LEAST_SIDE = 41  # pixels, of which one is left on the last scale
_GRAY_LEVELS = 255.0  # the range that the noise is fixed for
_NOISE_VARIANCE = 2.0
_EPS = 1e-10


def visual_information_fidelity(
    source: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> Tensor:
    """Return the pixel-domain visual information fidelity of each image (VIF).

    The visual noise of the model is fixed for gray levels of 0 to 255; images of another range are scaled to it.

    Args:
        source: (B, 1, H, W) gray levels, 0 to the range; H and W at least 41.
        fused: same shape and range.
        mask: bool of the same shape; on each scale windows count whose center is True.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): 0 where nothing of the source is left, 1 for a copy, above 1 for a copy of higher contrast. NaN
        for a source that is blank where it counts, which has no information to keep.

    Raises:
        OptionError: if the range is not above 0, the images are volumes or too small, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, source)
    windows, windows_fused = scales([source, fused], data_range)
    return fidelity(windows, windows_fused, mask)


def scales(images: Sequence[Tensor], data_range: float = 255.0) -> list[list[WindowMoments]]:
    """Measure the windows of images that are to be compared on each scale, for `fidelity`.

    Args:
        images: (B, 1, H, W) each: gray levels, 0 to the range; H and W at least 41.
        data_range: the width of the range of gray levels.

    Returns:
        For each image the moments of its windows, from the finest scale to the coarsest.

    Raises:
        OptionError: if the images are volumes, or too small.
    """
    sizes = [2 ** (_SCALES - scale) + 1 for scale in range(_SCALES)]
    windows = [Window(gaussian_profile(size, size / 5.0, images[0])) for size in sizes]
    return [_scales(image, windows, data_range) for image in images]


def fidelity(source: list[WindowMoments], fused: list[WindowMoments], mask: Tensor | None = None) -> Tensor:
    """Return the visual information fidelity of images whose windows have been measured.

    Args:
        source: from `scales`.
        fused: of the fused image.
        mask: bool, of the shape of the images; on each scale windows count whose center is True.

    Returns:
        (B,), as `visual_information_fidelity`.
    """
    kept, available = [], []
    for scale, (windows, windows_fused) in enumerate(zip(source, fused, strict=True)):
        half = len(windows.window.profiles[0]) // 2
        if scale > 0 and mask is not None:
            mask = mask[..., half:-half:2, half:-half:2]
        maps = _information(windows.variance, windows_fused.variance, windows.covariance(windows_fused))
        kept.append(sum_inside(maps[0], inner(mask, half)))
        available.append(sum_inside(maps[1], inner(mask, half)))
    return ratio(sum(kept[1:], kept[0]), sum(available[1:], available[0])).squeeze(1)


def _scales(image: Tensor, windows: list[Window], data_range: float) -> list[WindowMoments]:
    check_planar(image, "visual information fidelity")
    if min(image.shape[2:]) < _LEAST_SIDE:
        msg = f"images of {tuple(image.shape[2:])} pixels; visual information fidelity needs {_LEAST_SIDE} a side"
        raise OptionError(msg)
    image = _centered(image * (_GRAY_LEVELS / data_range))
    measured = [WindowMoments.of(image, windows[0])]
    for window in windows[1:]:
        image = window.sums(image)[..., ::2, ::2].contiguous()
        measured.append(WindowMoments.of(image, window))
    return measured


def _centered(image: Tensor) -> Tensor:
    """Shift gray levels, which the fidelity does not see, so that variances cancel few digits."""
    middle = (image.amax(dim=(2, 3), keepdim=True) + image.amin(dim=(2, 3), keepdim=True)) / 2.0
    return image - middle.detach()


def _information(var_source: Tensor, var_fused: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the information of the source that each window keeps, and all that it has.

    By the paper's model, fused = gain * source + distortion; a window that is blank in either image keeps nothing,
    and neither does one of negative gain.
    """
    informative = ((var_source >= _EPS) & (var_fused >= _EPS)).to(covariance.dtype)
    gain = (covariance / (var_source.clamp_min(0.0) + _EPS)).clamp_min(0.0) * informative
    distortion = (var_fused - gain * covariance).clamp_min(_EPS)
    signal = var_source.clamp_min(0.0) * (var_source >= _EPS)
    kept = torch.log10(1.0 + gain * gain * signal / (distortion + _NOISE_VARIANCE))
    available = torch.log10(1.0 + signal / _NOISE_VARIANCE)
    return kept, available
