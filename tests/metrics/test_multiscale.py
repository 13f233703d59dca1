"""Laws of the structural similarity over several scales."""

from __future__ import annotations

import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.metrics import multiscale_structural_similarity


@pytest.fixture
def pictures() -> list[Tensor]:
    noise = torch.rand(2, 2, 1, 176, 180, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [255.0 * F.avg_pool2d(image, 3, 1, 1) for image in noise]


def test_values_are_those_of_monai(pictures: list[Tensor]) -> None:
    source, other = pictures
    fused = 0.7 * source + 0.3 * other
    monai = MultiScaleSSIMMetric(spatial_dims=2, data_range=255.0)(fused, source)
    found = multiscale_structural_similarity(source, fused, 255.0)
    torch.testing.assert_close(found, monai.flatten().double(), rtol=1e-4, atol=0.0)


def test_a_copy_is_fully_similar(pictures: list[Tensor]) -> None:
    blank = torch.full_like(pictures[0], 50.0)
    for image in (pictures[0], blank):
        assert multiscale_structural_similarity(image, image, 255.0).tolist() == pytest.approx([1.0, 1.0])


def test_a_negative_is_not_similar(pictures: list[Tensor]) -> None:
    assert multiscale_structural_similarity(pictures[0], 255.0 - pictures[0], 255.0).tolist() == [0.0, 0.0]


def test_exchange_and_unit_change_nothing(pictures: list[Tensor]) -> None:
    source, other = pictures
    fused = 0.5 * (source + other)
    value = multiscale_structural_similarity(source, fused, 255.0)
    torch.testing.assert_close(multiscale_structural_similarity(fused, source, 255.0), value)
    torch.testing.assert_close(multiscale_structural_similarity(source / 255.0, fused / 255.0, 1.0), value)


def test_far_outside_the_mask_nothing_counts(pictures: list[Tensor]) -> None:
    source, _ = pictures
    mask = torch.zeros_like(source, dtype=torch.bool)
    mask[..., 64:112, 80:112] = True
    fused = source.clone()
    fused[..., 0] = 0.0
    assert (multiscale_structural_similarity(source, fused, 255.0) < 1.0).all()
    assert multiscale_structural_similarity(source, fused, 255.0, torch.zeros_like(mask)).isnan().all()
    whole = torch.ones_like(mask)
    torch.testing.assert_close(
        multiscale_structural_similarity(source, fused, 255.0, whole),
        multiscale_structural_similarity(source, fused, 255.0),
    )


def test_the_smallest_image_has_176_pixels_a_side(pictures: list[Tensor]) -> None:
    with pytest.raises(OptionError, match=r"\(175, 180\) pixels"):
        multiscale_structural_similarity(pictures[0][..., 1:, :], pictures[1][..., 1:, :], 255.0)
    with pytest.raises(OptionError, match="data_range is"):
        multiscale_structural_similarity(pictures[0], pictures[1], 0.0)
