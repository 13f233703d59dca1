"""Laws of the trivial rules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.networks.rules import RULES, average, laplacian_pyramid, maximum

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))
NAMES = st.sampled_from(sorted(RULES))


def picture(side: tuple[int, int], seed: int) -> torch.Tensor:
    return torch.rand(2, 1, *side, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(NAMES, SIDES)
def test_any_size_gives_one_channel_in_range(name: str, side: tuple[int, int]) -> None:
    fused = RULES[name](torch.cat([picture(side, 0), picture(side, 1)], dim=1))
    assert fused.shape == (2, 1, *side)
    assert bool(((fused >= 0) & (fused <= 1)).all())


@settings(deadline=None)
@given(NAMES, SIDES)
def test_a_picture_fused_with_itself_is_itself(name: str, side: tuple[int, int]) -> None:
    same = picture(side, 0)
    torch.testing.assert_close(RULES[name](torch.cat([same, same], dim=1)), same, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(NAMES, SIDES, st.booleans())
def test_the_order_of_the_sources_does_not_matter(name: str, side: tuple[int, int], negative: bool) -> None:
    """Not even for a picture and its negative, whose details are equally strong everywhere."""
    first = picture(side, 0)
    second = 1 - first if negative else picture(side, 1)
    torch.testing.assert_close(
        RULES[name](torch.cat([first, second], dim=1)),
        RULES[name](torch.cat([second, first], dim=1)),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", sorted(RULES))
def test_pictures_of_a_batch_do_not_mix(name: str) -> None:
    image = torch.cat([picture((17, 24), 0), picture((17, 24), 1)], dim=1)
    alone = torch.cat([RULES[name](one[None]) for one in image])
    torch.testing.assert_close(RULES[name](image), alone, rtol=0, atol=1e-6)


def test_maximum_and_average_are_what_they_say() -> None:
    image = torch.tensor([0.2, 0.6]).reshape(1, 2, 1, 1)
    assert float(maximum(image)) == pytest.approx(0.6)
    assert float(average(image)) == pytest.approx(0.4)


def test_the_pyramid_takes_the_detail_of_the_source_that_has_some() -> None:
    """A flat source takes no detail away: the contrast of stripes stays, where the average halves it."""
    stripes = (torch.arange(64) % 4 < 2).float().expand(64, 64)[None, None]
    image = torch.cat([0.25 + 0.5 * stripes, torch.full_like(stripes, 0.5)], dim=1)
    contrast = {name: float(RULES[name](image)[..., 16:48, 16:48].std()) for name in RULES}
    assert contrast["laplacian"] == pytest.approx(float(image[:, :1, 16:48, 16:48].std()), rel=0.1)
    assert contrast["average"] == pytest.approx(float(image[:, :1, 16:48, 16:48].std()) / 2, rel=0.01)


def test_the_pyramid_takes_the_stronger_detail_whatever_its_sign() -> None:
    """Faint stripes do not fill the gaps between strong ones."""
    stripes = (torch.arange(64) % 4 < 2).float().expand(64, 64)[None, None]
    strong, faint = 0.8 - 0.6 * stripes, 0.5 + 0.1 * stripes
    fused = laplacian_pyramid(torch.cat([strong, faint], dim=1))
    assert float(fused[..., 16:48, 16:48].std()) == pytest.approx(float(strong[..., 16:48, 16:48].std()), rel=0.1)


def test_details_too_strong_for_the_display_are_kept_in_range() -> None:
    image = torch.zeros(1, 2, 32, 32)
    image[0, 0, 8:24, 8:24] = 1.0
    image[0, 1, :, 16:] = 1.0
    assert float(laplacian_pyramid(image).max()) <= 1.0
