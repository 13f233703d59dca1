"""The published suite gives the values of the field, oddities included."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import published_suite, visual_information_fidelity

NAMES = ["EN", "SD", "SF", "AG", "MI", "MSE", "CC", "PSNR", "SCD", "VIF", "Qabf", "SSIM_range2", "SSIM_range255"]


def test_every_value_equals_the_published_one(
    reference_images: list[Tensor], reference_values: dict[str, Tensor]
) -> None:
    found = published_suite(*reference_images)
    assert list(found) == NAMES
    for name, values in found.items():
        torch.testing.assert_close(values, reference_values[name], rtol=1e-6, atol=0.0, msg=lambda m, n=name: n + m)


def test_sources_may_be_exchanged(images: list[Tensor]) -> None:
    first, second, fused = images
    exchanged = published_suite(second, first, fused)
    for name, values in published_suite(first, second, fused).items():
        torch.testing.assert_close(values, exchanged[name])


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    together = published_suite(*images)
    for i in range(2):
        for name, value in published_suite(*(image[i : i + 1] for image in images)).items():
            assert together[name][i].item() == pytest.approx(value.item(), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_levels_of_any_type_give_the_same(images: list[Tensor], dtype: torch.dtype) -> None:
    found = published_suite(*(image.to(dtype) for image in images))
    for name, values in published_suite(*images).items():
        assert values.dtype == torch.float64
        assert torch.equal(values, found[name])


def test_the_peak_is_that_of_the_fused_image(images: list[Tensor]) -> None:
    found = published_suite(*images)
    peak = images[2].amax(dim=(1, 2, 3))
    assert (peak < 255.0).all()
    torch.testing.assert_close(found["PSNR"], 10.0 * torch.log10(peak.square() / found["MSE"]))


def test_a_blank_source_counts_as_kept(images: list[Tensor]) -> None:
    first, second, fused = images
    first[0] = 0.0
    found = published_suite(first, second, fused)
    assert found["VIF"][0] == 1.0 + visual_information_fidelity(second, fused)[0]
    assert torch.isnan(found["CC"]).tolist() == [True, False]
    assert torch.isnan(found["SCD"]).tolist() == [True, False]
    for name in set(NAMES) - {"CC", "SCD"}:
        assert torch.isfinite(found[name]).all()


def test_a_copy_of_a_source_has_no_scd(images: list[Tensor]) -> None:
    first, second, _ = images
    found = published_suite(first, second, first)
    assert torch.isnan(found["SCD"]).all()
    for name in set(NAMES) - {"SCD"}:
        assert torch.isfinite(found[name]).all()


def test_a_copy_of_both_sources_has_no_error(images: list[Tensor]) -> None:
    found = published_suite(images[0], images[0], images[0])
    assert found["PSNR"].tolist() == [math.inf, math.inf]
    assert found["VIF"].tolist() == pytest.approx([2.0, 2.0])


def test_black_everywhere_leaves_these_without_a_value() -> None:
    black = torch.zeros(1, 1, 44, 44)
    found = published_suite(black, black, black)
    assert [name for name, value in found.items() if torch.isnan(value).any()] == ["CC", "PSNR", "SCD", "Qabf"]


@pytest.mark.parametrize("value", [-1.0, 0.5, 256.0, math.nan, math.inf])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_what_no_8_bit_picture_holds_is_refused(images: list[Tensor], value: float, position: int) -> None:
    images[position][1, 0, 5, 5] = value
    with pytest.raises(OptionError, match=f"{('first', 'second', 'fused')[position]} holds values"):
        published_suite(*images)
