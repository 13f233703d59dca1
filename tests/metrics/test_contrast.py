"""Laws of standard deviation, spatial frequency and average gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medfuse.metrics import average_gradient, spatial_frequency, standard_deviation

MEASURES = [standard_deviation, spatial_frequency, average_gradient]
Measure = Callable[[Tensor], Tensor]


@pytest.mark.parametrize(("name", "measure"), list(zip(("SD", "SF", "AG"), MEASURES, strict=True)))
def test_values_equal_the_published_ones(
    reference_images: list[Tensor], reference_values: dict[str, Tensor], name: str, measure: Measure
) -> None:
    torch.testing.assert_close(measure(reference_images[2]), reference_values[name], rtol=1e-6, atol=0.0)


def test_standard_deviation_of_two_levels() -> None:
    image = torch.tensor([10.0, 30.0]).repeat(8).view(1, 1, 4, 4)
    assert standard_deviation(image).item() == pytest.approx(10.0)


@pytest.mark.parametrize("shape", [(1, 1, 5, 6), (1, 1, 5, 6, 7)])
def test_a_ramp_is_as_steep_as_it_is(shape: tuple[int, ...]) -> None:
    axes = len(shape) - 2
    ramp = 3.0 * torch.arange(shape[-1], dtype=torch.float64).expand(shape)
    assert spatial_frequency(ramp).item() == pytest.approx(3.0)
    assert average_gradient(ramp).item() == pytest.approx(3.0 / math.sqrt(axes))


def test_steps_of_all_axes_add_up() -> None:
    x, y = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    plane = (3.0 * x + 4.0 * y)[None, None]
    assert spatial_frequency(plane).item() == pytest.approx(5.0)
    assert average_gradient(plane).item() == pytest.approx(5.0 / math.sqrt(2.0))


@pytest.mark.parametrize("measure", MEASURES)
def test_offset_and_sign_do_not_count_and_scale_does(images: list[Tensor], measure: Measure) -> None:
    image = images[0]
    torch.testing.assert_close(measure(3.0 * image), 3.0 * measure(image))
    torch.testing.assert_close(measure(40.0 - image), measure(image))


@pytest.mark.parametrize("measure", MEASURES)
def test_mirrored_and_turned_images_are_alike(images: list[Tensor], measure: Measure) -> None:
    image = images[0]
    torch.testing.assert_close(measure(image.flip(3)), measure(image))
    torch.testing.assert_close(measure(image.transpose(2, 3)), measure(image))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_blank_image_has_none_and_no_broken_derivative(images: list[Tensor], measure: Measure) -> None:
    image = images[0]
    image[0] = 77.0
    image.requires_grad_()
    values = measure(image)
    assert values[0].item() == pytest.approx(0.0, abs=1e-12)
    assert values[1] > 1.0
    values.sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


@pytest.mark.parametrize("measure", MEASURES)
def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor], measure: Measure) -> None:
    alone = [measure(images[0][i : i + 1]).item() for i in range(2)]
    assert measure(images[0]).tolist() == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_value_that_is_not_finite_gives_no_value(images: list[Tensor], measure: Measure) -> None:
    images[0][0, 0, 2, 3] = math.nan
    assert torch.isnan(measure(images[0])).tolist() == [True, False]


@pytest.mark.parametrize("measure", MEASURES)
def test_float32_agrees_with_float64(images: list[Tensor], measure: Measure) -> None:
    single = measure(images[0].float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), measure(images[0]), rtol=1e-5, atol=0.0)
