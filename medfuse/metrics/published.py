"""The measures as the published tables of medical image fusion have them: for comparison with those, nothing else.

The protocol was made common by Zhao et al., "CDDFuse: Correlation-driven dual-branch feature decomposition for
multi-modality image fusion", CVPR 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.contrast import average_gradient, spatial_frequency, standard_deviation
from medfuse.metrics.correlation import correlation, sum_of_correlations_of_differences
from medfuse.metrics.error import mean_squared_error
from medfuse.metrics.fidelity import fidelity, scales
from medfuse.metrics.gradient import edge_transfer
from medfuse.metrics.information import entropy, mutual_information
from medfuse.metrics.structure import similarity, structure_moments


def published_suite(first: Tensor, second: Tensor, fused: Tensor) -> dict[str, Tensor]:
    """Score fused images by the published protocol.

    What is odd about it is kept. MI, VIF and SSIM are sums over both sources, so the loss of one can hide behind a
    copy of the other; MSE and CC are means over both. The peak of PSNR is the brightest level of the fused image.
    SSIM_range2 is what the tables call SSIM: 8-bit levels judged as if they spanned a range of 2; SSIM_range255 is
    the same with the range that they have. A blank source, of which nothing can be kept, counts as fully kept in
    VIF.

    Args:
        first: (B, 1, H, W) whole gray levels, 0 to 255, as 8-bit pictures hold them; H and W at least 41.
        second: same shape and range.
        fused: same shape and range; published tables stretch each slice to the full range before it is rounded.

    Returns:
        Values of shape (B,), float64, by name: EN in bits, SD, SF, AG, MI in nats, MSE, CC, PSNR in decibel, SCD,
        VIF, Qabf, SSIM_range2 and SSIM_range255. CC is NaN where any image is blank; SCD where a source is blank or
        the fused image is a copy of one of them; Qabf where both sources are 0 everywhere. PSNR is infinite where
        the fused image is a copy of both, and NaN where all three are 0 everywhere.

    Raises:
        OptionError: if an image holds anything but whole gray levels of 0 to 255.
    """
    for name, image in (("first", first), ("second", second), ("fused", fused)):
        _check_levels(name, image)
    first, second, fused = first.double(), second.double(), fused.double()
    error = (mean_squared_error(first, fused) + mean_squared_error(second, fused)) / 2.0
    return {
        "EN": entropy(fused),
        "SD": standard_deviation(fused),
        "SF": spatial_frequency(fused),
        "AG": average_gradient(fused),
        "MI": mutual_information(first, fused) + mutual_information(second, fused),
        "MSE": error,
        "CC": (correlation(first, fused) + correlation(second, fused)) / 2.0,
        "PSNR": 10.0 * torch.log10(fused.flatten(1).amax(dim=1).square() / error),
        "SCD": sum_of_correlations_of_differences(first, second, fused),
        "VIF": _generous_fidelity(first, second, fused),
        "Qabf": edge_transfer(first, second, fused),
        **_summed_similarities(first, second, fused),
    }


def _generous_fidelity(*images: Tensor) -> Tensor:
    first, second, fused = scales(images)
    return fidelity(first, fused).nan_to_num(nan=1.0) + fidelity(second, fused).nan_to_num(nan=1.0)


def _summed_similarities(*images: Tensor) -> dict[str, Tensor]:
    first, second, fused = structure_moments(images)
    pairs = [(source, fused, source.covariance(fused)) for source in (first, second)]
    return {
        f"SSIM_range{width}": similarity(*pairs[0], data_range=width) + similarity(*pairs[1], data_range=width)
        for width in (2, 255)
    }


def _check_levels(name: str, image: Tensor) -> None:
    """Refuse what the protocol would score by chance: it wraps levels beyond 8 bits, and labels each fraction apart."""
    if not torch.equal(image, image.round().clamp(0, 255)):
        msg = f"{name} holds values that are no whole gray levels of 0 to 255; scale and round the image first"
        raise OptionError(msg)
