"""Laws of the losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
import torch
from monai.losses import SSIMLoss
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.losses import (
    MEASURES,
    Goal,
    correlation,
    decomposition_loss,
    distillation_loss,
    gradient_difference,
    gradient_loss,
    intensity_loss,
    invented_loss,
    lost_loss,
    reconstruction_loss,
    sobel_magnitude,
    soft_entropy,
    ssim_loss,
    surpass_losses,
)
from medfuse.metrics import entropy

Loss: TypeAlias = Callable[..., Tensor]


def surpassing(name: str) -> Loss:
    """Return the loss on one measure, with a mark that random images miss."""
    return lambda *images: surpass_losses(*images, {name: Goal(margin=2.0, weight=1.0)})[name]


OF_TWO: dict[str, Loss] = {
    "correlation": correlation,
    "distillation": distillation_loss,
    "gradient_difference": gradient_difference,
    "reconstruction": reconstruction_loss,
    "ssim": ssim_loss,
}
OF_THREE: dict[str, Loss] = {
    "gradient": gradient_loss,
    "intensity": intensity_loss,
    "invented": invented_loss,
    "lost": lost_loss,
    **{name: surpassing(name) for name in MEASURES},
}


def images(number: int, side: int = 48, seed: int = 0) -> list[Tensor]:
    """Return smooth random images, each (2, 1, side, side) in [0, 1]."""
    noise = torch.rand(number, 2, 1, side, side, generator=torch.Generator().manual_seed(seed))
    return [F.avg_pool2d(image, 3, 1, 1) for image in noise]


@pytest.mark.parametrize("name", ["distillation", "gradient_difference", "reconstruction", "ssim"])
def test_equal_images_lose_nothing(name: str) -> None:
    (x,) = images(1)
    assert OF_TWO[name](x, x).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["distillation", "gradient_difference", "reconstruction", "ssim", "correlation"])
def test_order_of_the_images_does_not_matter(name: str) -> None:
    x, y = images(2)
    assert OF_TWO[name](x, y).item() == pytest.approx(OF_TWO[name](y, x).item(), rel=1e-6)
    assert OF_TWO[name](x, y).item() != pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", OF_THREE)
def test_order_of_the_sources_does_not_matter(name: str) -> None:
    fused, first, second = images(3)
    assert OF_THREE[name](fused, first, second).item() == pytest.approx(
        OF_THREE[name](fused, second, first).item(), rel=1e-6
    )


def test_brighter_source_loses_no_intensity() -> None:
    first, second = images(2)
    assert intensity_loss(torch.maximum(first, second), first, second).item() == 0.0
    assert intensity_loss(torch.minimum(first, second), first, second).item() == pytest.approx(
        (first - second).abs().mean().item(), rel=1e-6
    )


def test_stronger_edges_lose_no_gradient() -> None:
    (image,) = images(1)
    assert gradient_loss(image, image, 0.5 * image).item() == 0.0
    assert gradient_loss(1.0 - image, image, image)[None].item() > 0.0  # the zeros around the image count


def test_ssim_is_half_of_monais_on_reflected_images() -> None:
    x, y = images(2)
    continued = [F.pad(image, [5, 5, 5, 5], mode="reflect") for image in (x, y)]
    assert 2.0 * ssim_loss(x, y).item() == pytest.approx(SSIMLoss(spatial_dims=2)(*continued).item(), rel=1e-4)


def test_ssim_lies_between_0_and_1() -> None:
    x, y = images(2)
    assert 0.0 < ssim_loss(x, y).item() < 1.0
    assert ssim_loss(x, 1.0 - x).item() > 0.5


def test_sobel_magnitude_of_a_ramp_is_8_times_its_slope() -> None:
    ramp = 0.1 * torch.arange(6.0).expand(1, 1, 6, 6)
    torch.testing.assert_close(sobel_magnitude(ramp)[..., 1:-1, 1:-1], torch.full((1, 1, 4, 4), 0.8))
    torch.testing.assert_close(sobel_magnitude(ramp.mT), sobel_magnitude(ramp).mT)


def test_correlation_does_not_see_gain_and_offset() -> None:
    x, y = images(2)
    assert correlation(3.0 * x + 2.0, y).item() == pytest.approx(correlation(x, y).item(), abs=1e-5)
    assert correlation(x, 2.0 * x - 1.0).item() == pytest.approx(1.0, abs=1e-5)
    assert correlation(x, -x).item() == pytest.approx(-1.0, abs=1e-5)


def test_decomposition_rewards_like_bases_and_unlike_details() -> None:
    base, detail, other = images(3)
    good = decomposition_loss(base, base, detail, other)
    assert good < decomposition_loss(base, base, detail, detail)
    assert good < decomposition_loss(base, -base, detail, other)
    assert decomposition_loss(base, base, detail, detail).item() == pytest.approx(1.0 / 2.01, rel=1e-5)


@pytest.mark.parametrize("name", MEASURES)
def test_the_rule_itself_is_at_a_mark_of_margin_1(name: str) -> None:
    """What equals the mark costs next to nothing; twice the mark is missed by one mark, and costs that."""
    first, second = images(2)
    rule = torch.maximum(first, second)
    at_mark, below = (surpass_losses(rule, first, second, {name: Goal(m, 1.0)})[name].item() for m in (1.0, 2.0))
    assert at_mark == pytest.approx(0.0, abs=0.02)
    assert below == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", MEASURES)
def test_goals_are_weighted(name: str) -> None:
    fused, first, second = images(3)
    once, thrice = (surpass_losses(fused, first, second, {name: Goal(2.0, weight)})[name] for weight in (1.0, 3.0))
    assert thrice.item() == pytest.approx(3.0 * once.item(), rel=1e-6)


def test_a_copy_of_one_source_misses_the_marks_of_the_other() -> None:
    first, second = images(2)
    goals = {name: Goal(1.0, 1.0) for name in ("worst_fidelity", "worst_edges", "fidelity")}
    found = surpass_losses(first, first, second, goals)
    assert min(found["worst_fidelity"].item(), found["worst_edges"].item()) > 0.3
    assert found["fidelity"].item() < 0.1  # a sum over both sources does not see the loss


@pytest.mark.parametrize("name", ["fidelity", "worst_fidelity", "edges"])
def test_blank_images_earn_and_cost_nothing(name: str) -> None:
    fused, first, second = images(3)
    blank = torch.zeros_like(first[:1])
    sources = [torch.cat([source, blank]) for source in (first, second)]
    with_blank = OF_THREE[name](torch.cat([fused, fused[:1]]), *sources)
    assert with_blank.item() == pytest.approx(2.0 / 3.0 * OF_THREE[name](fused, first, second).item(), rel=1e-5)


def test_sources_invent_and_lose_nothing() -> None:
    first, second = images(2)
    assert invented_loss(torch.maximum(first, second), first, first + second).item() == pytest.approx(0.0, abs=1e-4)
    assert invented_loss(torch.maximum(first, second), 0.1 * first, 0.1 * second).item() > 0.3
    assert lost_loss(first, first, first).item() == 0.0
    assert lost_loss(first, first, 3.0 * first).item() > 0.05
    assert lost_loss(torch.zeros_like(first), first, second).item() == pytest.approx(0.6, abs=0.01)


def test_noise_in_the_air_earns_no_entropy() -> None:
    first, second = (0.6 * image for image in images(2))
    for image in (first, second):
        image[..., :24] = 0.0
    fused = torch.maximum(first, second).requires_grad_()
    OF_THREE["entropy"](fused, first, second).backward()
    assert fused.grad is not None
    assert fused.grad[..., :24].abs().max() == 0.0 < fused.grad[..., 24:].abs().max()


def test_soft_entropy_of_whole_levels_is_the_entropy() -> None:
    levels = (255.0 * images(1)[0]).round()
    torch.testing.assert_close(soft_entropy(levels), entropy(levels), atol=1e-4, rtol=0.0)
    half = torch.full((1, 1, 4, 4), 7.5)
    assert soft_entropy(half).item() == pytest.approx(1.0, abs=1e-4)  # half the pixels at 7, half at 8


@pytest.mark.parametrize("name", OF_THREE)
@pytest.mark.parametrize("blank", [[1], [1, 2], [0], [0, 1, 2]])
def test_a_blank_image_spoils_no_gradient_of_its_batch(name: str, blank: list[int]) -> None:
    pictures = images(3)
    for index in blank:
        pictures[index][0] = 0.0
    fused, first, second = pictures
    assert_finite(OF_THREE[name], fused.requires_grad_(), first, second)


@pytest.mark.parametrize("name", OF_TWO)
@pytest.mark.parametrize("flat", ["none", "first", "second", "both", "equal"])
def test_gradient_of_two_images_is_finite(name: str, flat: str) -> None:
    x, y = images(2)
    x = torch.zeros_like(x) if flat in ("first", "both") else x
    y = torch.ones_like(y) if flat in ("second", "both") else y
    y = x.clone() if flat == "equal" else y
    assert_finite(OF_TWO[name], y.requires_grad_(), x)


@pytest.mark.parametrize("name", OF_THREE)
@pytest.mark.parametrize("flat", ["none", "fused", "first", "sources", "all"])
@pytest.mark.parametrize("level", [0.0, 0.7])
def test_gradient_of_fusion_is_finite(name: str, flat: str, level: float) -> None:
    fused, first, second = (image[:1] for image in images(3))
    fused = torch.full_like(fused, level) if flat in ("fused", "all") else fused
    first = torch.full_like(first, level) if flat in ("first", "sources", "all") else first
    second = torch.full_like(second, level) if flat in ("sources", "all") else second
    assert_finite(OF_THREE[name], fused.clone().requires_grad_(), first, second)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-10])
def test_gradient_is_finite_where_a_drawing_is_all_but_black(scale: float) -> None:
    fused, first, second = images(3)
    fused[..., :24, :] *= scale
    for loss in OF_THREE.values():
        assert_finite(loss, fused.clone().requires_grad_(), first, second)


def assert_finite(loss: Loss, drawn: Tensor, *others: Tensor) -> None:
    value = loss(drawn, *others)
    assert torch.isfinite(value)
    if value.requires_grad:  # not where nothing counts
        value.backward()
        assert drawn.grad is not None
        assert torch.isfinite(drawn.grad).all()
