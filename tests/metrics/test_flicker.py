"""Laws of the flicker between slices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import flicker


@pytest.fixture
def pair() -> list[Tensor]:
    """Return two volumes whose brightness changes slowly along the last axis, (2, 1, 8, 9, 10) each."""
    noise = torch.rand(2, 2, 1, 8, 9, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slow = torch.linspace(0.0, 1.0, 10, dtype=torch.float64)
    return [100.0 * noise[0] + 20.0 * slow, 100.0 * noise[1] - 30.0 * slow]


def test_copies_and_mixtures_do_not_flicker(pair: list[Tensor]) -> None:
    first, second = pair
    for share in (0.0, 0.3, 1.0):
        fused = share * first + (1.0 - share) * second
        assert flicker(first, second, fused).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_alternating_brightness_is_flicker(pair: list[Tensor]) -> None:
    first, _ = pair
    still = first[..., :1].expand_as(first)
    stripes = 6.0 * torch.arange(10).remainder(2)
    assert flicker(still, still, still + stripes).tolist() == pytest.approx([6.0, 6.0])


def test_only_what_exceeds_the_sources_counts(pair: list[Tensor]) -> None:
    first, second = pair
    steps = 30.0 / 9.0
    assert flicker(first, second, 3.0 * second).tolist() == pytest.approx([2.0 * steps] * 2)
    assert flicker(first, second, -second).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_stretching_each_slice_flickers(pair: list[Tensor]) -> None:
    first, second = pair
    noise = torch.rand(first.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixture = 0.5 * (first + second) + noise * torch.linspace(0, 80, 10)
    low, high = mixture.amin(dim=(2, 3), keepdim=True), mixture.amax(dim=(2, 3), keepdim=True)
    stretched = 255.0 * (mixture - low) / (high - low)
    assert (flicker(mixture, mixture, stretched) > 1.0).all()


@pytest.mark.parametrize("spatial_dim", [0, 1, 2])
def test_slices_follow_the_axis(pair: list[Tensor], spatial_dim: int) -> None:
    first, second = pair
    fused = first + 5.0 * torch.arange(10).remainder(2)
    turned = [volume.movedim(4, 2 + spatial_dim) for volume in (first, second, fused)]
    torch.testing.assert_close(flicker(*turned, spatial_dim=spatial_dim), flicker(first, second, fused))
    assert (flicker(*turned, spatial_dim=spatial_dim) > 0.0).all()
    other = (spatial_dim + 1) % 3
    assert flicker(*turned, spatial_dim=other).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_only_pixels_inside_both_slices_count(pair: list[Tensor]) -> None:
    first, second = pair
    mask = torch.ones_like(first, dtype=torch.bool)
    mask[..., :4, :, ::2] = False
    fused = first.clone()
    fused[..., :4, :, :] += 50.0 * torch.arange(10).remainder(2)
    assert flicker(first, second, fused, mask=mask).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    assert (flicker(first, second, fused) > 10.0).all()
    nowhere = torch.zeros_like(mask)
    assert all(math.isnan(value) for value in flicker(first, second, fused, mask=nowhere).tolist())


def test_images_and_other_axes_are_refused(pair: list[Tensor]) -> None:
    with pytest.raises(OptionError, match="fused has shape"):
        flicker(*(volume[..., 0] for volume in (pair[0], pair[1], pair[0])))
    with pytest.raises(OptionError, match="spatial_dim is 3"):
        flicker(pair[0], pair[1], pair[0], spatial_dim=3)
