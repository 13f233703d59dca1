"""What repeats in a map, as the margin of a picture does, is computed once; the numbers stay those of PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_cdt
from torch import Tensor, nn

from medfuse.networks import CDDFuse, CDDFuseConfig
from medfuse.networks.cddfuse import BaseBlock
from medfuse.networks.invertible import InvertibleNode
from medfuse.networks.native import without_kernels
from medfuse.networks.native.alike import Alike, find_alike, repeats_computed
from medfuse.networks.native.library import usable_kernels
from medfuse.networks.restormer import RestormerBlock

pytestmark = pytest.mark.usefixtures("kernels")

FARTHEST = 5
BOXES = (
    ((70, 140), (20, 40, 30, 100)),
    ((129, 129), (60, 80, 60, 80)),
    ((131, 258), (0, 40, 100, 258)),
    ((66, 130), (1, 60, 110, 120)),
)
MODULES: dict[str, Callable[[], nn.Module]] = {
    "Restormer block": lambda: RestormerBlock(64, 8, 2.0),
    "Restormer block with the bias-free norm": lambda: RestormerBlock(48, 2, 2.66, norm_bias=False),
    "base block": lambda: BaseBlock(64, 8),
    "invertible node": lambda: InvertibleNode(64),
}


def with_margin(channels: int, size: tuple[int, int], box: tuple[int, int, int, int], batch: int = 2) -> Tensor:
    """Return maps of one pixel again and again, but for a box of noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, 1, 1, generator=generator).expand(batch, channels, *size)
    x = x.contiguous(memory_format=torch.channels_last)
    top, bottom, left, right = box
    x[:, :, top:bottom, left:right] = torch.randn(batch, channels, bottom - top, right - left, generator=generator)
    return x


@torch.no_grad()
def found_in(x: Tensor) -> Alike:
    kernels = usable_kernels(x)
    assert kernels is not None
    return find_alike(kernels, x)


@pytest.mark.parametrize(("size", "box"), BOXES)
def test_steps_are_those_of_the_distance_transform(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    alike = found_in(with_margin(16, size, box))
    assert alike.around is not None
    assert alike.repeated is not None
    same = np.ones(size, bool)
    same[box[0] : box[1], box[2] : box[3]] = False
    expected = distance_transform_cdt(np.pad(same, 1), metric="chessboard")[1:-1, 1:-1].clip(max=FARTHEST)
    for around in alike.around.numpy():
        np.testing.assert_array_equal(around, expected)
    for image, pixel in enumerate(alike.repeated.tolist()):
        assert expected.ravel()[pixel - image * same.size] == FARTHEST, "it has to be amid its like"


def test_nothing_is_found_in_noise_nor_along_a_border() -> None:
    x = with_margin(16, (64, 64), (0, 64, 0, 64))
    assert found_in(x).around is None
    x[:, :, :7] = 0.5  # a band of seven rows has no pixel with five steps around it that are alike
    x[:, :, -7:] = 0.5
    assert found_in(x).around is None
    x = with_margin(16, (64, 64), (0, 64, 0, 64))
    x[:, :, 8] = x[:, :, :, 32] = 0.5  # where the bars of a cross meet is no margin
    assert found_in(x).around is None


def test_an_image_without_a_margin_beside_one_that_has_it() -> None:
    x = with_margin(16, (64, 64), (10, 20, 10, 20))
    x[0] = torch.randn(16, 64, 64, generator=torch.Generator().manual_seed(1))
    alike = found_in(x)
    assert alike.repeated is not None
    assert alike.repeated[0] < 0 <= alike.repeated[1]
    node = InvertibleNode(16 * 2)
    both = torch.cat([x, x], dim=1)
    with torch.no_grad():
        computed = node(both)
        with without_kernels():
            torch.testing.assert_close(computed, node(both), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("size", "box"), BOXES)
def test_margins_give_what_pytorch_gives(name: str, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    module = MODULES[name]()
    x = with_margin(48 if "free" in name else 64, size, box)
    assert found_in(x).around is not None
    with without_kernels():
        expected = module.double()(x.double()).float()
    torch.testing.assert_close(module.float()(x), expected, atol=2e-5, rtol=1e-5)


@torch.no_grad()
def test_repeats_can_be_computed_for_comparison() -> None:
    x = with_margin(64, (66, 130), (1, 60, 110, 120))
    with repeats_computed():
        assert found_in(x).around is None
        assert InvertibleNode(64)(x).shape == x.shape
    assert found_in(x).around is not None


@torch.no_grad()
def test_what_repeats_is_copied_to_the_bit() -> None:
    torch.manual_seed(0)
    block = BaseBlock(64, 8)  # its products by Winograd differ with the place, but for those that are copied
    result = block(with_margin(64, (131, 258), (40, 60, 100, 130)))
    left = result[:, :, 4:36, 4:96]
    assert torch.equal(left, left[:, :, :1, :1].expand_as(left))


@torch.no_grad()
def test_the_network_finds_margins_in_all_its_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes constant maps differ by a bit, unnoticed by the values, loses what margins save."""
    seen: list[bool] = []

    def watched(kernels: object, x: Tensor) -> Alike:
        alike = find_alike(kernels, x)  # type: ignore[arg-type]
        seen.append(alike.around is not None)
        return alike

    for part in ("blocks", "nodes"):
        monkeypatch.setattr(f"medfuse.networks.native.{part}.find_alike", watched)
    image = torch.zeros(1, 2, 200, 200)
    image[:, :, 90:110, 90:110] = torch.rand(1, 2, 20, 20, generator=torch.Generator().manual_seed(0))
    network = CDDFuse(CDDFuseConfig(channels=32, heads=4, blocks=1))
    for weight in network.parameters():  # or black stays 0 up to the border, whatever the border does
        weight += 0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    network(image)
    assert seen
    assert all(seen)
