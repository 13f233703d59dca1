"""Laws of the correlation of sources, and of differences, with a fused image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.metrics import correlation, correlation_of_difference, sum_of_correlations_of_differences


def test_values_equal_the_published_ones(reference_images: list[Tensor], reference_values: dict[str, Tensor]) -> None:
    first, second, fused = reference_images
    mean = (correlation(first, fused) + correlation(second, fused)) / 2.0
    total = sum_of_correlations_of_differences(first, second, fused)
    torch.testing.assert_close(mean, reference_values["CC"], rtol=1e-6, atol=0.0)
    torch.testing.assert_close(total, reference_values["SCD"], rtol=1e-6, atol=0.0)


def test_a_copy_correlates_fully(images: list[Tensor]) -> None:
    image = images[0]
    assert correlation(image, image).tolist() == pytest.approx([1.0, 1.0])
    assert correlation(image, -image).tolist() == pytest.approx([-1.0, -1.0])


def test_scale_and_offset_do_not_count(images: list[Tensor]) -> None:
    source, _, fused = images
    torch.testing.assert_close(correlation(2.0 * source - 9.0, 0.1 * fused + 5.0), correlation(source, fused))


def test_exchange_changes_nothing(images: list[Tensor]) -> None:
    first, second, fused = images
    torch.testing.assert_close(correlation(first, fused), correlation(fused, first))
    torch.testing.assert_close(
        sum_of_correlations_of_differences(first, second, fused),
        sum_of_correlations_of_differences(second, first, fused),
    )


def test_the_sum_of_the_sources_has_both_in_full(images: list[Tensor]) -> None:
    first, second, _ = images
    total = sum_of_correlations_of_differences(first, second, first + second)
    assert total.tolist() == pytest.approx([2.0, 2.0])


def test_a_faint_trace_of_a_source_counts_in_full(images: list[Tensor]) -> None:
    first, second, _ = images
    assert correlation_of_difference(second, first, first + 0.001 * second).tolist() == pytest.approx([1.0, 1.0])


def test_what_neither_source_has_does_not_count(images: list[Tensor]) -> None:
    first, second, other = images
    assert (correlation_of_difference(second, first, first + other) < 0.5).all()


def test_the_sum_is_that_of_the_shares(images: list[Tensor]) -> None:
    first, second, fused = images
    shares = correlation_of_difference(first, second, fused) + correlation_of_difference(second, first, fused)
    torch.testing.assert_close(sum_of_correlations_of_differences(first, second, fused), shares)


def test_a_copy_of_a_source_has_no_difference_to_the_source(images: list[Tensor]) -> None:
    first, second, _ = images
    assert torch.isnan(sum_of_correlations_of_differences(first, second, first)).all()
    assert torch.isnan(sum_of_correlations_of_differences(first, second, second)).all()
    assert torch.isnan(correlation_of_difference(second, first, first)).all()
    assert torch.isfinite(correlation_of_difference(first, second, first)).all()


@pytest.mark.parametrize("level", [0.0, 77.7, 255.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_blank_image_has_no_correlation(images: list[Tensor], level: float, dtype: torch.dtype) -> None:
    source, _, fused = (image.to(dtype) for image in images)
    source[0] = level
    fused.requires_grad_()
    values = correlation(source, fused)
    assert torch.isnan(values).tolist() == [True, False]
    assert torch.isnan(correlation(fused, source)).tolist() == [True, False]
    values[1].backward()
    assert fused.grad is not None
    assert torch.isfinite(fused.grad).all()


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    alone = [correlation(images[0][i : i + 1], images[1][i : i + 1]).item() for i in range(2)]
    assert correlation(images[0], images[1]).tolist() == pytest.approx(alone, rel=1e-12)


def test_a_volume_is_one_image(volumes: list[Tensor]) -> None:
    flat = [volume.reshape(2, 1, 8, 90) for volume in volumes]
    torch.testing.assert_close(correlation(*volumes), correlation(*flat))
