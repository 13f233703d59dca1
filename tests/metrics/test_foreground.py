"""Laws of the foreground mask."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import foreground_mask
from medfuse.metrics.foreground import local_maximum


@pytest.fixture
def ring() -> Tensor:
    """Return a bright frame, as of a skull, (1, 1, 30, 32)."""
    image = torch.zeros(1, 1, 30, 32)
    image[..., 8:22, 9:23] = 100.0
    image[..., 10:20, 11:21] = 0.0
    return image


def test_what_is_enclosed_belongs_to_it(ring: Tensor) -> None:
    expected = torch.zeros_like(ring, dtype=torch.bool)
    expected[..., 6:24, 7:25] = True
    assert torch.equal(foreground_mask(ring, torch.zeros_like(ring)), expected)


def test_either_source_is_enough(ring: Tensor) -> None:
    left, right = ring.clone(), ring.clone()
    left[..., 16:], right[..., :16] = 0.0, 0.0
    assert torch.equal(foreground_mask(left, right), foreground_mask(ring, ring))
    assert torch.equal(foreground_mask(left, right), foreground_mask(right, left))


@pytest.mark.parametrize("turns", range(4))
def test_a_bay_is_not_enclosed(ring: Tensor, turns: int) -> None:
    ring[..., 8:10, :] = 0.0  # open above
    mask = foreground_mask(*[ring.rot90(turns, dims=(2, 3))] * 2).rot90(-turns, dims=(2, 3))
    assert not mask[0, 0, 12, 16]
    assert mask[0, 0, 12, 10]


def test_faint_is_background(ring: Tensor) -> None:
    assert foreground_mask(12.6 / 100.0 * ring, ring * 0.0).sum() == 0
    assert foreground_mask(12.8 / 100.0 * ring, ring * 0.0).sum() > 0
    assert foreground_mask(12.6 / 100.0 * ring, ring * 0.0, data_range=200.0).sum() > 0


def test_each_pair_has_its_own(ring: Tensor) -> None:
    pair = torch.cat([ring, torch.zeros_like(ring)])
    mask = foreground_mask(pair, torch.zeros_like(pair))
    assert mask[0].any()
    assert not mask[1].any()


def test_a_volume_is_enclosed_along_three_axes() -> None:
    tube = torch.zeros(1, 1, 20, 20, 20)
    tube[..., 5:15, 5:15, 4:16] = 200.0
    tube[..., 7:13, 7:13, 4:16] = 0.0  # open at both ends
    assert not foreground_mask(tube, tube)[0, 0, 10, 10, 10]
    tube[..., 7:13, 7:13, 4], tube[..., 7:13, 7:13, 15] = 200.0, 200.0
    assert foreground_mask(tube, tube)[0, 0, 10, 10, 10]


@pytest.mark.parametrize("shape", [(2, 1, 9, 11), (2, 1, 9, 8, 7)])
@pytest.mark.parametrize("radius", [1, 2])
def test_the_local_maximum_is_that_of_pooling(shape: tuple[int, ...], radius: int) -> None:
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5
    pool = torch.nn.functional.max_pool2d if len(shape) == 4 else torch.nn.functional.max_pool3d
    assert torch.equal(local_maximum(image, radius), pool(image, 2 * radius + 1, 1, radius))


def test_a_range_that_is_none_is_refused(ring: Tensor) -> None:
    with pytest.raises(OptionError, match="data_range is"):
        foreground_mask(ring, ring, 0.0)
