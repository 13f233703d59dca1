"""How much of a source's structure a fused image keeps on several scales, as from several distances.

Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", Asilomar Conference on
Signals, Systems and Computers, 2003.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.metrics.masking import check_mask, check_range, inner, mean_inside
from medfuse.metrics.structure import luminance_map, structure_map
from medfuse.metrics.windows import Window, WindowMoments, gaussian_profile

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # from the finest scale to the coarsest
_WINDOW, _SIGMA = 11, 1.5  # pixels, on each scale
_LEAST_SIDE = _WINDOW * 2 ** (len(_WEIGHTS) - 1)


def multiscale_structural_similarity(
    source: Tensor, fused: Tensor, data_range: float, mask: Tensor | None = None
) -> Tensor:
    """Return the structural similarity of each source and its fused image over five scales (MS-SSIM).

    Each scale has half the pixels of the one before along each axis. Structure is compared on all, by Gaussian
    windows of 11 pixels a side, and brightness on the coarsest. A scale that is on the whole inverted counts as not
    similar at all, and makes the product 0.

    Args:
        source: (B, 1, H, W), or volumes (B, 1, X, Y, Z); at least 176 pixels along each axis.
        fused: same shape, and the same scale.
        data_range: from the least to the largest value that the images can have, such as 255 for 8-bit levels.
        mask: bool of the same shape; on each scale windows count whose center is made of pixels that are True.

    Returns:
        (B,): from 0 to 1, which a copy reaches, a blank one too. NaN where a scale has no window that counts.

    Raises:
        OptionError: if the range is not above 0, the images are too small, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, source)
    if min(source.shape[2:]) < _LEAST_SIDE:
        msg = f"images of {tuple(source.shape[2:])} pixels; MS-SSIM needs at least {_LEAST_SIDE} a side: use SSIM"
        raise OptionError(msg)
    window = Window(gaussian_profile(_WINDOW, _SIGMA, source))
    product = source.new_ones(source.shape[0], 1)
    for scale, weight in enumerate(_WEIGHTS):
        if scale > 0:
            source, fused, mask = _halved(source), _halved(fused), _halved_mask(mask)
        first, second = (WindowMoments.of(image, window) for image in (source, fused))
        similar = structure_map(first, second, first.covariance(second), data_range)
        if scale == len(_WEIGHTS) - 1:
            similar = similar * luminance_map(first, second, data_range)
        product = product * mean_inside(similar, inner(mask, _WINDOW // 2)).clamp_min(0.0).pow(weight)
    return product.squeeze(1)


def _halved(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 2) if image.ndim == 4 else F.avg_pool3d(image, 2)


def _halved_mask(mask: Tensor | None) -> Tensor | None:
    """Keep what is made of pixels that are all inside."""
    return None if mask is None else _halved(mask.float()) == 1.0
