"""The values are those of the formulas written down plainly with NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchmarks import naive_metrics as plain
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse import metrics

ALONE = {
    "entropy": metrics.entropy,
    "standard_deviation": metrics.standard_deviation,
    "spatial_frequency": metrics.spatial_frequency,
    "average_gradient": metrics.average_gradient,
}
PAIRWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mutual_information": metrics.mutual_information,
    "correlation": metrics.correlation,
    "peak_signal_to_noise_ratio": lambda a, f: metrics.peak_signal_to_noise_ratio(a, f, 255.0),
    "structural_similarity": lambda a, f: metrics.structural_similarity(a, f, 255.0),
    "multiscale_structural_similarity": lambda a, f: metrics.multiscale_structural_similarity(a, f, 255.0),
    "visual_information_fidelity": metrics.visual_information_fidelity,
    "lost_structure": metrics.lost_structure,
}
BOTH = {
    "sum_of_correlations_of_differences": metrics.sum_of_correlations_of_differences,
    "edge_transfer": metrics.edge_transfer,
    "invented_structure": metrics.invented_structure,
    "regional_difference": metrics.regional_difference,
    "contrast_preservation": metrics.contrast_preservation,
}


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    """Return two sources and a fused image, large enough for five scales, (1, 1, 176, 192) each."""
    noise = torch.rand(3, 1, 1, 176, 192, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second, other = (255.0 * F.avg_pool2d(image, 5, 1, 2) for image in noise)
    return [image.round() for image in (first, second, 0.6 * torch.maximum(first, second) + 0.4 * other)]


@pytest.mark.parametrize("name", ALONE)
def test_measures_of_the_fused_image(pictures: list[Tensor], name: str) -> None:
    fused = pictures[2]
    assert ALONE[name](fused).item() == pytest.approx(getattr(plain, name)(fused[0, 0].numpy()), rel=1e-9)


@pytest.mark.parametrize("name", PAIRWISE)
def test_measures_of_a_source(pictures: list[Tensor], name: str) -> None:
    first, _, fused = pictures
    expected = getattr(plain, name)(first[0, 0].numpy(), fused[0, 0].numpy())
    assert PAIRWISE[name](first, fused).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", BOTH)
def test_measures_of_both_sources(pictures: list[Tensor], name: str) -> None:
    expected = getattr(plain, name)(*(image[0, 0].numpy() for image in pictures))
    assert BOTH[name](*pictures).item() == pytest.approx(expected, rel=1e-9)


def test_feature_mutual_information(pictures: list[Tensor]) -> None:
    """Counted in single precision, for speed; a part of the images, as the plain form is slow."""
    first, fused = (image[..., 60:100, 70:118].clone() for image in (pictures[0], pictures[2]))
    first[..., :10, :], fused[..., :14, :20] = 0.0, 0.0
    expected = plain.feature_mutual_information(first[0, 0].numpy(), fused[0, 0].numpy())
    assert metrics.feature_mutual_information(first, fused).item() == pytest.approx(expected, rel=1e-4)
