"""Fused luminance under a source's color: exact brightness, true hue, inside the range."""

from __future__ import annotations

import pytest
import torch

from medfuse.io.png_slices import LUMINANCE
from medfuse.transforms import Recolord
from medfuse.transforms.recolor import recolor

CHANCE = torch.Generator().manual_seed(1)
FUSED = torch.rand(4, 1, 9, 8, generator=CHANCE, dtype=torch.float64)
COLOR = torch.rand(4, 3, 9, 8, generator=CHANCE, dtype=torch.float64)


def luminance(color: torch.Tensor) -> torch.Tensor:
    return torch.einsum("c,...chw->...hw", color.new_tensor(LUMINANCE), color).unsqueeze(-3)


def test_luminance_is_that_of_the_fused_image() -> None:
    made = recolor(FUSED, COLOR)
    assert made.min() >= 0.0
    assert made.max() <= 1.0
    torch.testing.assert_close(luminance(made), FUSED)


def test_hue_is_that_of_the_source() -> None:
    before, after = COLOR - luminance(COLOR), recolor(FUSED, COLOR) - FUSED
    scale = (before * after).sum(dim=1, keepdim=True) / before.square().sum(dim=1, keepdim=True)
    assert scale.min() >= 0.0
    assert scale.max() <= 1.0 + 1e-12
    torch.testing.assert_close(after, scale * before)


def test_what_fits_keeps_its_color_in_full() -> None:
    torch.testing.assert_close(recolor(luminance(COLOR), COLOR), COLOR)
    gray = FUSED.expand_as(COLOR)
    torch.testing.assert_close(recolor(FUSED, gray * 0.5), gray)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_have_no_color(value: float) -> None:
    ends = torch.full_like(FUSED, value)
    torch.testing.assert_close(recolor(ends, COLOR), ends.expand_as(COLOR))


def test_the_transform_does_the_same() -> None:
    data = {"pred": FUSED[0].float(), "source": COLOR[0].float()}
    made = Recolord()(data)
    torch.testing.assert_close(made["color"], recolor(data["pred"], data["source"]))
    assert "color" not in data
