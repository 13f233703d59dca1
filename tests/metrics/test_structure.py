"""Laws of the structural similarity."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import structural_similarity


@pytest.mark.parametrize("data_range", [2, 255])
def test_values_equal_the_published_ones(
    reference_images: list[Tensor], reference_values: dict[str, Tensor], data_range: int
) -> None:
    first, second, fused = reference_images
    total = structural_similarity(first, fused, data_range) + structural_similarity(second, fused, data_range)
    torch.testing.assert_close(total, reference_values[f"SSIM_range{data_range}"], rtol=1e-6, atol=0.0)


def test_a_copy_is_fully_similar(images: list[Tensor]) -> None:
    assert structural_similarity(images[0], images[0], 255.0).tolist() == pytest.approx([1.0, 1.0])


def test_a_negative_is_dissimilar(images: list[Tensor]) -> None:
    assert (structural_similarity(images[0], 255.0 - images[0], 255.0) < -0.5).all()


def test_exchange_changes_nothing(images: list[Tensor]) -> None:
    torch.testing.assert_close(
        structural_similarity(images[0], images[1], 255.0), structural_similarity(images[1], images[0], 255.0)
    )


def test_images_and_range_of_another_unit_give_the_same(images: list[Tensor]) -> None:
    source, _, fused = images
    torch.testing.assert_close(
        structural_similarity(source / 255.0, fused / 255.0, 1.0), structural_similarity(source, fused, 255.0)
    )


def test_less_of_the_source_is_less(images: list[Tensor]) -> None:
    source, other, _ = images
    shares = [1.0, 0.9, 0.6, 0.3, 0.0]
    values = [structural_similarity(source, share * source + (1.0 - share) * other, 255.0) for share in shares]
    for more, less in pairwise(values):
        assert (more > less).all()


def test_a_larger_range_makes_images_alike(images: list[Tensor]) -> None:
    values = [structural_similarity(images[0], images[1], data_range) for data_range in (255.0, 2550.0, 25500.0)]
    for nearer, farther in pairwise(reversed(values)):
        assert (nearer > farther).all()


def test_blank_images_are_measured_like_others(images: list[Tensor]) -> None:
    blank = torch.full_like(images[0], 77.7)
    assert structural_similarity(blank, blank, 255.0).tolist() == pytest.approx([1.0, 1.0])
    black = torch.zeros_like(blank).requires_grad_()
    bright = structural_similarity(black, blank, 255.0)
    assert bright.tolist() == pytest.approx([2.55**2 / (77.7**2 + 2.55**2)] * 2, rel=1e-6)
    bright.sum().backward()
    assert black.grad is not None
    assert torch.isfinite(black.grad).all()


@pytest.mark.parametrize("data_range", [2.0, 255.0])
def test_float32_agrees_with_float64_on_a_black_background(images: list[Tensor], data_range: float) -> None:
    source, _, fused = images
    source[..., :20, :], fused[..., :20, :] = 0.0, 0.0
    single = structural_similarity(source.float(), fused.float(), data_range)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), structural_similarity(source, fused, data_range), atol=1e-5, rtol=0.0)


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    alone = [structural_similarity(images[0][i : i + 1], images[1][i : i + 1], 255.0).item() for i in range(2)]
    assert structural_similarity(images[0], images[1], 255.0).tolist() == pytest.approx(alone, rel=1e-12)


def test_a_volume_is_windowed_in_three_axes(volumes: list[Tensor]) -> None:
    source, fused = volumes
    small = source[:, :, :7, :7, :7], fused[:, :, :7, :7, :7]
    x, y = (volume.flatten(1) for volume in small)
    covariances = torch.stack([torch.cov(torch.stack(pair)) for pair in zip(x, y, strict=True)])
    varied, bright = (0.03 * 255.0) ** 2, (0.01 * 255.0) ** 2
    mean_x, mean_y = x.mean(dim=1), y.mean(dim=1)
    expected = (2.0 * covariances[:, 0, 1] + varied) / (covariances[:, 0, 0] + covariances[:, 1, 1] + varied)
    expected = expected * (2.0 * mean_x * mean_y + bright) / (mean_x.square() + mean_y.square() + bright)
    torch.testing.assert_close(structural_similarity(*small, 255.0), expected)


def test_the_smallest_image_has_7_pixels_a_side(images: list[Tensor]) -> None:
    assert torch.isfinite(structural_similarity(images[0][..., :7, :7], images[1][..., :7, :7], 255.0)).all()
    with pytest.raises(OptionError, match=r"\(6, 7\) pixels"):
        structural_similarity(images[0][..., :6, :7], images[1][..., :6, :7], 255.0)


@pytest.mark.parametrize("data_range", [0.0, -1.0, math.nan])
def test_a_range_that_is_none_is_refused(images: list[Tensor], data_range: float) -> None:
    with pytest.raises(OptionError, match="data_range is"):
        structural_similarity(images[0], images[1], data_range)
