"""Laws of Q_CV and Q_CB."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import contrast_preservation, regional_difference

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]
MEASURES: list[Measure] = [regional_difference, contrast_preservation]


def test_copies_of_equal_sources_are_best(images: list[Tensor]) -> None:
    image = images[0]
    assert regional_difference(image, image, image).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    assert contrast_preservation(image, image, image).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("measure", MEASURES)
def test_sources_may_be_exchanged(images: list[Tensor], measure: Measure) -> None:
    first, second, fused = images
    torch.testing.assert_close(measure(first, second, fused), measure(second, first, fused))


@pytest.mark.parametrize("measure", MEASURES)
def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor], measure: Measure) -> None:
    alone = [measure(*(image[i : i + 1] for image in images)).item() for i in range(2)]
    assert measure(*images).tolist() == pytest.approx(alone, rel=1e-9)


def test_a_uniform_difference_is_seen_by_the_sensitivity_to_it(images: list[Tensor]) -> None:
    """Of a difference that is the same everywhere, 1 - 0.685 is left; the image has whole regions only."""
    image = images[0][..., :32, :48]
    expected = (10.0 * (1.0 - 0.685)) ** 2
    assert regional_difference(image, image, image + 10.0).tolist() == pytest.approx([expected] * 2)


def test_borders_that_fill_no_region_count_by_what_they_have(images: list[Tensor]) -> None:
    image = images[0]
    assert image.shape[2] % 16 > 0
    values = regional_difference(image, image, image + 10.0)
    assert (values > (10.0 * (1.0 - 0.685)) ** 2).all()
    assert (values < 10.0**2).all()


def test_a_source_without_edges_does_not_count(images: list[Tensor]) -> None:
    first, _, fused = images
    blank = torch.full_like(first, 90.0)
    expected = regional_difference(first, first, fused)
    torch.testing.assert_close(regional_difference(first, blank, fused), expected)
    assert torch.isnan(regional_difference(blank, blank, fused)).all()


def test_contrast_is_relative_to_brightness(images: list[Tensor]) -> None:
    first, second, fused = images
    value = contrast_preservation(first, second, fused)
    assert ((value > 0.0) & (value < 1.0)).all()
    torch.testing.assert_close(contrast_preservation(first, second, 0.1 * fused), value)


def test_weaker_contrast_is_kept_less(images: list[Tensor]) -> None:
    image = images[0] + 100.0
    mean = image.mean(dim=(2, 3), keepdim=True)
    values = [contrast_preservation(image, image, mean + share * (image - mean)) for share in (0.9, 0.5, 0.1)]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()
    blank = contrast_preservation(image, image, torch.full_like(image, 100.0))
    assert (blank < 0.02).all()


def test_black_images_have_no_contrast_to_lose() -> None:
    black = torch.zeros(1, 1, 44, 48)
    assert contrast_preservation(black, black, black).item() == 1.0
    assert regional_difference(black, black, black).isnan().all()


def test_the_range_is_scaled_to_8_bits(images: list[Tensor]) -> None:
    value = regional_difference(*images)
    torch.testing.assert_close(regional_difference(*(image / 255.0 for image in images), data_range=1.0), value)


def test_outside_the_mask_nothing_differs(images: list[Tensor]) -> None:
    first, second, fused = images
    mask = torch.zeros_like(first, dtype=torch.bool)
    mask[..., 8:30, 8:40] = True
    changed = fused.masked_fill(~mask, 255.0)
    value = regional_difference(first, second, fused, mask)
    torch.testing.assert_close(regional_difference(first, second, changed, mask), value)
    assert (value != regional_difference(first, second, changed)).all()
    assert torch.isnan(contrast_preservation(first, second, fused, torch.zeros_like(mask))).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_volumes_are_refused(volumes: list[Tensor], measure: Measure) -> None:
    with pytest.raises(OptionError, match="is defined for images"):
        measure(volumes[0], volumes[1], volumes[0])
