"""The color is the palette's, the brightest channel is the fused image."""

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


@pytest.mark.parametrize("palette", PALETTES)
def test_the_brightest_channel_is_the_fused_image(palette: str) -> None:
    color = colorize(EVERY_GRAY, EVERY_UPTAKE, palette)
    assert (color.dtype, tuple(color.shape)) == (torch.uint8, (3, 1, 256, 256))
    assert torch.equal(color.amax(dim=0), (EVERY_GRAY[0] * 255).round().to(torch.uint8))


@pytest.mark.parametrize("palette", PALETTES)
def test_a_bright_palette_color_is_shown_as_it_is(palette: str) -> None:
    """Over white, an entry of full brightness keeps its hue and saturation."""
    table = palette_rgb(palette)
    bright = table.amax(dim=1) == 1.0
    assert bool(bright.any())
    shown = colorize(torch.ones(1, 1, 256, 1), LEVELS.reshape(1, 1, 256, 1), palette)[:, 0, :, 0].T
    assert torch.equal(shown[bright], (table[bright] * 255).round().to(torch.uint8))


@pytest.mark.parametrize("palette", PALETTES)
def test_the_order_of_the_channels_is_that_of_the_palette(palette: str) -> None:
    """Hue: which channel is the strongest and which the weakest does not depend on the gray beneath."""
    table = palette_rgb(palette)
    color = colorize(EVERY_GRAY, EVERY_UPTAKE, palette)[:, 0].int()  # (3, uptake, gray)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        stronger = table[:, first] > table[:, second]
        assert int((color[first] - color[second])[stronger].min()) >= 0


@given(st.floats(0, 1, width=32))
def test_it_is_gray_where_there_is_no_uptake(gray: float) -> None:
    """Hot iron begins at black."""
    color = colorize(torch.full((1, 2, 2, 2), gray), torch.zeros(1, 2, 2, 2))
    assert color.unique().tolist() == [round(np.float32(gray) * 255.0)]


def test_black_stays_black() -> None:
    uptake = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert int(colorize(torch.zeros(1, 4, 4, 4), uptake).max()) == 0


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
