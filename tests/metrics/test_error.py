"""Laws of squared error and signal-to-noise ratio."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import mean_squared_error, peak_signal_to_noise_ratio


def test_values_equal_the_published_ones(reference_images: list[Tensor], reference_values: dict[str, Tensor]) -> None:
    first, second, fused = reference_images
    mean = (mean_squared_error(first, fused) + mean_squared_error(second, fused)) / 2.0
    torch.testing.assert_close(mean, reference_values["MSE"], rtol=1e-6, atol=0.0)


def test_a_copy_has_no_error(images: list[Tensor]) -> None:
    assert mean_squared_error(images[0], images[0]).tolist() == [0.0, 0.0]
    assert peak_signal_to_noise_ratio(images[0], images[0], 255.0).tolist() == [math.inf, math.inf]


def test_an_offset_is_the_error(images: list[Tensor]) -> None:
    image = images[0]
    assert mean_squared_error(image, image + 5.0).tolist() == pytest.approx([25.0, 25.0])
    assert peak_signal_to_noise_ratio(image, image + 25.5, 255.0).tolist() == pytest.approx([20.0, 20.0])


def test_exchange_changes_nothing(images: list[Tensor]) -> None:
    torch.testing.assert_close(mean_squared_error(images[0], images[1]), mean_squared_error(images[1], images[0]))


def test_images_and_range_of_another_unit_give_the_same_ratio(images: list[Tensor]) -> None:
    source, _, fused = images
    torch.testing.assert_close(
        peak_signal_to_noise_ratio(source / 255.0, fused / 255.0, 1.0),
        peak_signal_to_noise_ratio(source, fused, 255.0),
    )


def test_blank_images_are_measured_like_others(images: list[Tensor]) -> None:
    blank = torch.zeros_like(images[0])
    assert peak_signal_to_noise_ratio(blank, blank + 255.0, 255.0).tolist() == pytest.approx([0.0, 0.0])


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    alone = [peak_signal_to_noise_ratio(images[0][i : i + 1], images[1][i : i + 1], 255.0).item() for i in range(2)]
    assert alone[0] != alone[1]
    assert peak_signal_to_noise_ratio(images[0], images[1], 255.0).tolist() == pytest.approx(alone, rel=1e-12)


def test_a_volume_is_one_image(volumes: list[Tensor]) -> None:
    flat = [volume.reshape(2, 1, 8, 90) for volume in volumes]
    torch.testing.assert_close(mean_squared_error(*volumes), mean_squared_error(*flat))


@pytest.mark.parametrize("data_range", [0.0, -1.0, math.nan])
def test_a_range_that_is_none_is_refused(images: list[Tensor], data_range: float) -> None:
    with pytest.raises(OptionError, match="data_range is"):
        peak_signal_to_noise_ratio(images[0], images[1], data_range)
