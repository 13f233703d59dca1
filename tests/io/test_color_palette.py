from __future__ import annotations

import pytest
import torch

from medfuse.errors import OptionError
from medfuse.io.color_palette import PALETTES, palette_rgb


@pytest.mark.parametrize("name", PALETTES)
def test_palettes_go_from_black_to_white(name):
    palette = palette_rgb(name)
    assert palette.shape == (256, 3)
    assert palette.dtype == torch.float32
    assert torch.equal(palette[0], torch.zeros(3))
    assert torch.equal(palette[-1], torch.ones(3))
    assert float(palette.min()) >= 0.0
    assert float(palette.max()) <= 1.0
    assert torch.equal(palette, palette_rgb(name))


def test_entries_of_the_standard():
    """Entries 1, 64 and 128 of the tables in PS3.6, annex B."""
    rows = {
        "hot_iron": [(2, 0, 0), (128, 0, 0), (255, 0, 0)],
        "pet": [(0, 2, 1), (1, 126, 127), (128, 0, 255)],
        "hot_metal_blue": [(0, 0, 2), (0, 0, 125), (116, 17, 97)],
        "pet_20_step": [(0, 0, 0), (96, 96, 176), (80, 192, 80)],
    }
    assert tuple(rows) == PALETTES
    for name, expected in rows.items():
        entries = (palette_rgb(name)[[1, 64, 128]] * 255).round().int()
        assert [tuple(entry) for entry in entries.tolist()] == expected


def test_hot_iron_brightens_steadily():
    assert bool((palette_rgb("hot_iron").sum(dim=1).diff() >= 0).all())


@pytest.mark.parametrize("name", ["HOT_IRON", "viridis", "", "1.2.840.10008.1.5.1"])
def test_an_unknown_name_lists_the_allowed_ones(name):
    with pytest.raises(OptionError) as caught:
        palette_rgb(name)
    assert all(allowed in str(caught.value) for allowed in PALETTES)
