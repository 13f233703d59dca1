"""The color is the palette's, the brightness is the fused image's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_volumes import cloud, made

from medfuse.errors import OptionError
from medfuse.io.color_palette import PALETTES, palette_rgb
from medfuse.transforms import Colorized
from medfuse.transforms.colorize import colorize

LUMINANCE = torch.tensor([0.299, 0.587, 0.114])
LEVELS = torch.linspace(0, 1, 256)
EVERY_GRAY = LEVELS.reshape(1, 1, 1, -1).expand(1, 1, 256, 256)  # along z
EVERY_UPTAKE = LEVELS.reshape(1, 1, -1, 1).expand(1, 1, 256, 256)  # along y


def luminance(color: torch.Tensor) -> torch.Tensor:
    return torch.tensordot(LUMINANCE, color.float() / 255, dims=1)


@pytest.mark.parametrize("palette", PALETTES)
def test_brightness_is_that_of_the_fused_image(palette: str) -> None:
    """Each channel is rounded by half a level at most, so their weighted sum is too."""
    color = colorize(EVERY_GRAY, EVERY_UPTAKE, palette)
    assert (color.dtype, tuple(color.shape)) == (torch.uint8, (3, 1, 256, 256))
    assert float((luminance(color) - EVERY_GRAY[0]).abs().max()) <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("palette", PALETTES)
def test_nothing_has_to_be_clipped(palette: str) -> None:
    """Before rounding every channel lies in [0, 1]: the color deviates from gray as far as there is room."""
    table = palette_rgb(palette)
    chroma = table - (table @ LUMINANCE)[:, None]
    color = colorize(EVERY_GRAY, EVERY_UPTAKE, palette).float()[:, 0] / 255  # (3, uptake, gray)
    unlimited = chroma.T[:, :, None] + EVERY_GRAY[0]
    fits = ((unlimited >= 0) & (unlimited <= 1)).all(dim=0).expand_as(color[0])
    torch.testing.assert_close(color[:, fits], unlimited.expand_as(color)[:, fits], rtol=0, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("palette", PALETTES)
def test_the_hue_is_that_of_the_palette(palette: str) -> None:
    """What deviates from gray points to the same side as in the palette, within rounding."""
    table = palette_rgb(palette)
    chroma = (table - (table @ LUMINANCE)[:, None]).T[:, :, None]  # (3, uptake, 1)
    color = colorize(EVERY_GRAY, EVERY_UPTAKE, palette).float()[:, 0] / 255 - EVERY_GRAY[0]
    length = torch.linalg.norm(chroma, dim=0)
    along = (color * chroma).sum(dim=0) / length.clamp(min=1e-6)
    aside = torch.linalg.norm(color - along * chroma / length.clamp(min=1e-6), dim=0)
    colored = (length > 0.05).expand_as(aside)
    assert bool(colored.any())
    assert float(aside[colored].max()) <= 1.0 / 255
    assert float(along[colored].min()) >= -1.0 / 255


@given(st.floats(0, 1, width=32))
def test_it_is_gray_where_there_is_no_uptake(gray: float) -> None:
    """Hot iron begins at black."""
    color = colorize(torch.full((1, 2, 2, 2), gray), torch.zeros(1, 2, 2, 2))
    assert color.unique().tolist() == [round(np.float32(gray) * 255.0)]


def test_black_stays_black_and_white_white() -> None:
    uptake = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert int(colorize(torch.zeros(1, 4, 4, 4), uptake).max()) == 0
    assert int(colorize(torch.ones(1, 4, 4, 4), uptake).min()) == 255


def test_a_batch_is_colored_like_its_parts() -> None:
    fused, uptake = (torch.rand(2, 1, 3, 4, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    batch = colorize(fused, uptake)
    assert batch.shape == (2, 3, 3, 4, 5)
    for one, alone in zip(batch, map(colorize, fused, uptake), strict=True):
        assert torch.equal(one, alone)


def test_an_unknown_palette_is_refused() -> None:
    with pytest.raises(OptionError, match="palette is 'jet'; choose one of hot_iron"):
        colorize(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), "jet")


def test_the_transform_adds_a_volume_on_the_same_grid() -> None:
    pred, moving = made(cloud(top=1.0), "MR"), made(cloud(1, top=1.0), "PT")
    done = pickle.loads(pickle.dumps(Colorized(palette="pet")))({"pred": pred, "moving": moving})
    assert torch.equal(done["color"].as_tensor(), colorize(pred.as_tensor(), moving.as_tensor(), "pet"))
    assert torch.equal(done["color"].affine, pred.affine)
    assert done["color"].dtype == torch.uint8
    assert done["color"].meta["units"] == "RGB"
