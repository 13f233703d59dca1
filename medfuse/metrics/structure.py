"""How much of a source's local structure a fused image keeps.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: From error visibility to structural similarity", IEEE
Transactions on Image Processing, 2004.
"""

from __future__ import annotations

from torch import Tensor

from medfuse.errors import OptionError

_WINDOW = 7  # pixels a side, all of the same weight
_LUMINANCE, _CONTRAST = 0.01, 0.03  # K1 and K2, shares of the range


def structural_similarity(source: Tensor, fused: Tensor, data_range: float) -> Tensor:
    """Return the mean structural similarity of each source and its fused image (SSIM).

    Over all windows of 7 pixels a side that lie within the image, with the unbiased covariances of each. It does not
    change if the two images are exchanged. The range decides what counts as a difference: too small a range makes
    the noise of dark regions count like structure, too large a one makes all images alike.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z); at least 7 pixels along each axis.
        fused: same shape, and the same scale.
        data_range: from the least to the largest value that the images can have, such as 255 for 8-bit levels.

    Returns:
        (B,): from -1 to 1, which a copy reaches, a blank one too.

    Raises:
        OptionError: if the range is not above 0, or the images are smaller than the window.
    """
    _check(source, data_range)
    mean_source, mean_fused = _means(source), _means(fused)
    pixels = float(_WINDOW ** (source.ndim - 2))
    unbiased = pixels / (pixels - 1.0)
    variances = (_means(source * source + fused * fused) - mean_source.square() - mean_fused.square()) * unbiased
    covariance = (_means(source * fused) - mean_source * mean_fused) * unbiased

    bright, varied = (_LUMINANCE * data_range) ** 2, (_CONTRAST * data_range) ** 2
    luminance = (2.0 * mean_source * mean_fused + bright) / (mean_source.square() + mean_fused.square() + bright)
    structure = (2.0 * covariance + varied) / (variances.clamp_min(0.0) + varied)
    return (luminance * structure).flatten(1).mean(dim=1)


def _check(image: Tensor, data_range: float) -> None:
    if not data_range > 0.0:
        msg = f"data_range is {data_range}; give the width of the range of gray levels, such as 255"
        raise OptionError(msg)
    if min(image.shape[2:]) < _WINDOW:
        msg = f"images of {tuple(image.shape[2:])} pixels; structural similarity needs at least {_WINDOW} a side"
        raise OptionError(msg)


def _means(image: Tensor) -> Tensor:
    """Average each window, one axis after the other."""
    for axis in range(2, image.ndim):
        image = image.unfold(axis, _WINDOW, 1).mean(dim=-1)
    return image
