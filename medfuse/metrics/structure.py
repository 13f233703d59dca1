"""How much of a source's local structure a fused image keeps.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: From error visibility to structural similarity", IEEE
Transactions on Image Processing, 2004.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.masking import check_mask, check_range, inner, mean_inside
from medfuse.metrics.windows import Window, WindowMoments

_WINDOW = 7  # pixels a side, all of the same weight
_LUMINANCE, _CONTRAST = 0.01, 0.03  # K1 and K2, shares of the range


def structural_similarity(source: Tensor, fused: Tensor, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Return the mean structural similarity of each source and its fused image (SSIM).

    Over all windows of 7 pixels a side that lie within the image, with the unbiased covariances of each. It does not
    change if the two images are exchanged. The range decides what counts as a difference: too small a range makes
    the noise of dark regions count like structure, too large a one makes all images alike.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z); at least 7 pixels along each axis.
        fused: same shape, and the same scale.
        data_range: from the least to the largest value that the images can have, such as 255 for 8-bit levels.
        mask: bool of the same shape; windows count whose center is True.

    Returns:
        (B,): from -1 to 1, which a copy reaches, a blank one too. NaN where no window counts.

    Raises:
        OptionError: if the range is not above 0, the images are smaller than the window, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, source)
    first, second = structure_moments([source, fused])
    return similarity(first, second, first.covariance(second), data_range, mask)


def structure_moments(images: Sequence[Tensor]) -> list[WindowMoments]:
    """Measure the windows of 7 pixels a side of images that are to be compared, for `similarity`.

    Args:
        images: (B, 1, H, W) each, or volumes (B, 1, X, Y, Z).

    Returns:
        The moments of the windows of each.

    Raises:
        OptionError: if the images are smaller than the window.
    """
    for image in images:
        if min(image.shape[2:]) < _WINDOW:
            msg = f"images of {tuple(image.shape[2:])} pixels; structural similarity needs at least {_WINDOW} a side"
            raise OptionError(msg)
    window = Window(images[0].new_full((_WINDOW,), 1.0 / _WINDOW))
    return [WindowMoments.of(image, window) for image in images]


def similarity(
    first: WindowMoments, second: WindowMoments, covariance: Tensor, data_range: float, mask: Tensor | None = None
) -> Tensor:
    """Return the mean structural similarity of two images whose windows have been measured.

    Args:
        first: from `structure_moments`.
        second: of the other image.
        covariance: of their windows, which serves for any range.
        data_range: from the least to the largest value that the images can have.
        mask: bool, of the shape of the images; windows count whose center is True.

    Returns:
        (B,), as `structural_similarity`.
    """
    pixels = float(_WINDOW ** (covariance.ndim - 2))
    structure = structure_map(first, second, covariance, data_range, pixels / (pixels - 1.0))
    return mean_inside(luminance_map(first, second, data_range) * structure, inner(mask, _WINDOW // 2)).squeeze(1)


def luminance_map(first: WindowMoments, second: WindowMoments, data_range: float) -> Tensor:
    """Return how alike the means of two images' windows are.

    Args:
        first: of one image.
        second: of the other.
        data_range: from the least to the largest value that the images can have.

    Returns:
        From 0 to 1 for images that are nowhere negative, in the shape of the means.
    """
    bright = (_LUMINANCE * data_range) ** 2
    squares = first.mean.square() + second.mean.square()
    return (2.0 * first.mean * second.mean + bright) / (squares + bright)


def structure_map(
    first: WindowMoments, second: WindowMoments, covariance: Tensor, data_range: float, unbiased: float = 1.0
) -> Tensor:
    """Return how alike contrast and structure of two images' windows are.

    Args:
        first: of one image.
        second: of the other.
        covariance: of their windows.
        data_range: from the least to the largest value that the images can have.
        unbiased: factor for variances and covariance; 1 for those of the windows as they are.

    Returns:
        From -1 to 1, in the shape of the means.
    """
    varied = (_CONTRAST * data_range) ** 2 / unbiased
    variances = (first.variance + second.variance).clamp_min(0.0)
    return (2.0 * covariance + varied) / (variances + varied)
