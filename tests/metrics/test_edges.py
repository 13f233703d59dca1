"""Laws of invented and lost structure."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import invented_structure, lost_structure
from medfuse.metrics.edges import edge_strength


@pytest.fixture
def square() -> Tensor:
    """Return a bright square on black ground, (1, 1, 40, 40)."""
    image = torch.zeros(1, 1, 40, 40, dtype=torch.float64)
    image[..., 12:28, 12:28] = 200.0
    return image


@pytest.fixture
def dot() -> Tensor:
    """Return a small bright square elsewhere."""
    image = torch.zeros(1, 1, 40, 40, dtype=torch.float64)
    image[..., 3:6, 32:36] = 200.0
    return image


@pytest.mark.parametrize("shape", [(1, 1, 20, 22), (1, 1, 20, 22, 18)])
def test_a_ramp_is_as_steep_as_it_is(shape: tuple[int, ...]) -> None:
    ramp = 3.0 * torch.arange(shape[-1], dtype=torch.float64).expand(shape)
    inside = edge_strength(ramp)[..., 4:-4]
    torch.testing.assert_close(inside, torch.full_like(inside, 3.0))


def test_rules_that_pick_or_copy_invent_nothing(images: list[Tensor]) -> None:
    first, second, _ = images
    for fused in (first, second, 255.0 - first, 0.5 * first):
        assert invented_structure(first, second, fused).tolist() == [0.0, 0.0]


def test_what_is_in_no_source_is_invented(square: Tensor, dot: Tensor) -> None:
    blank = torch.zeros_like(square)
    assert invented_structure(square, blank, dot).item() == 1.0
    strength = [edge_strength(image).sum().item() for image in (square, dot)]
    share = invented_structure(square, blank, square + dot).item()
    assert share == pytest.approx(strength[1] / sum(strength), rel=0.02)
    assert invented_structure(square, dot, square + dot).item() == 0.0


def test_what_is_gone_is_lost(square: Tensor, dot: Tensor) -> None:
    assert lost_structure(square, square).item() == 0.0
    assert lost_structure(square, torch.full_like(square, 70.0)).item() == 1.0
    assert lost_structure(square + dot, square).item() == lost_structure(dot + square, square).item() > 0.0


@pytest.mark.parametrize(("share", "lost"), [(0.51, False), (0.5, False), (0.49, True)])
def test_half_the_strength_is_enough(square: Tensor, share: float, lost: bool) -> None:
    """Only where an edge is strongest nothing stronger is near it."""
    assert (lost_structure(square, share * square).item() > 0.1) == lost
    assert lost_structure(square, 0.1 * square).item() > 0.99


@pytest.mark.parametrize(("shift", "lost"), [(0, False), (1, False), (5, True)])
def test_an_edge_may_be_one_pixel_away(square: Tensor, shift: int, lost: bool) -> None:
    value = lost_structure(square, square.roll(shift, dims=3)).item()
    assert value > 0.1 if lost else value < 0.02


def test_sources_may_be_exchanged(images: list[Tensor]) -> None:
    first, second, fused = images
    values = invented_structure(first, second, fused)
    assert torch.equal(values, invented_structure(second, first, fused))
    assert values.max() > 0.0


def test_faint_edges_do_not_count(square: Tensor, dot: Tensor) -> None:
    faint = 5.0 / 200.0 * dot
    blank = torch.zeros_like(square)
    assert edge_strength(faint).max() < 0.02 * 255.0
    assert invented_structure(square, blank, square + faint).item() == 0.0
    assert invented_structure(square, blank, square + faint, data_range=25.0).item() > 0.0


def test_without_edges_there_is_no_value(square: Tensor) -> None:
    blank = torch.full_like(square, 9.0)
    assert math.isnan(invented_structure(square, square, blank).item())
    assert math.isnan(lost_structure(blank, square).item())


def test_scale_and_range_go_together(images: list[Tensor]) -> None:
    first, second, fused = images
    scaled = invented_structure(first / 255.0, second / 255.0, fused / 255.0, data_range=1.0)
    torch.testing.assert_close(scaled, invented_structure(first, second, fused))


def test_only_what_is_inside_the_mask_counts(square: Tensor, dot: Tensor) -> None:
    blank = torch.zeros_like(square)
    mask = torch.ones_like(square, dtype=torch.bool)
    mask[..., :12, 25:] = False
    assert invented_structure(square, blank, square + dot, mask).item() == 0.0
    assert math.isnan(lost_structure(dot, blank, mask).item())


def test_volumes_have_three_axes(square: Tensor, dot: Tensor) -> None:
    """A change between slices is an edge too."""
    volume = torch.zeros(1, 1, 40, 40, 12, dtype=torch.float64)
    volume[..., :6] = square[..., None]
    flat = square[..., None].expand(-1, -1, -1, -1, 12)
    assert lost_structure(volume, volume).item() == 0.0
    assert lost_structure(volume, flat).item() > 0.2
    assert invented_structure(flat, flat, volume).item() == pytest.approx(lost_structure(volume, flat).item())


def test_a_range_that_is_none_is_refused(square: Tensor) -> None:
    with pytest.raises(OptionError, match="data_range is"):
        lost_structure(square, square, data_range=0.0)
    with pytest.raises(OptionError, match="data_range is"):
        invented_structure(square, square, square, data_range=-1.0)
