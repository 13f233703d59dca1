"""CDDFuse-fast: black stays black, brightness scales, any size goes, and it costs far less than CDDFuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from medfuse.errors import OptionError, WeightsError
from medfuse.networks import CDDFuse, CDDFuseConfig, CDDFuseFast, CDDFuseFastConfig, build, save_weights
from medfuse.networks.native import without_kernels

SMALL = CDDFuseFastConfig(channels=8, drawing_channels=4)
EXACT = {"atol": 1e-5, "rtol": 0.0}


def randomized(config: CDDFuseFastConfig = SMALL) -> CDDFuseFast:
    """Return a network whose last layers are not the zeros that training starts from."""
    torch.manual_seed(0)
    network = CDDFuseFast(config).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def pair(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def test_before_training_it_is_the_brighter_pixel_rule() -> None:
    image = pair(2, 2, 40, 48)
    assert torch.equal(CDDFuseFast(SMALL)(image), image.amax(dim=1, keepdim=True))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 9), (16, 16), (33, 50)])
@torch.no_grad()
def test_any_size_goes(size: tuple[int, int]) -> None:
    fused = randomized()(pair(1, 2, *size))
    assert fused.shape == (1, 1, *size)
    assert 0.0 <= fused.min() <= fused.max() <= 1.0


@torch.no_grad()
def test_black_stays_black() -> None:
    assert randomized()(torch.zeros(1, 2, 32, 32)).abs().max() == 0.0


@torch.no_grad()
def test_sources_of_half_the_brightness_give_half_the_brightness() -> None:
    network, image = randomized(), pair(1, 2, 32, 40)
    whole, half = (network.decompose_and_fuse(scale * image)[0] for scale in (1.0, 0.5))
    torch.testing.assert_close(half, 0.5 * whole, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_pairs_of_a_batch_do_not_see_each_other() -> None:
    network, image = randomized(), pair(3, 2, 32, 40)
    torch.testing.assert_close(network(image)[1:2], network(image[1:2]), **EXACT)


@torch.no_grad()
def test_the_sources_are_not_interchangeable() -> None:
    network, image = randomized(), pair(1, 2, 32, 40)
    assert (network(image) - network(image.flip(1))).abs().max() > 1e-3


def test_it_splits_each_modality_into_base_and_detail() -> None:
    image = pair(2, 2, 32, 40)
    _, first, second = randomized().decompose_and_fuse(image)
    for features in (first, second):
        for part in features:
            assert part.shape == (2, 8, 16, 20)
    assert not torch.equal(first.base, second.base)


def test_every_weight_gets_a_gradient() -> None:
    network = randomized().train()
    network.decompose_and_fuse(pair(1, 2, 32, 32))[0].square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0.0 for weight in network.parameters())


@torch.no_grad()
def test_it_can_be_scripted_and_exported() -> None:
    network, image = randomized(), pair(2, 2, 33, 50)
    torch.testing.assert_close(torch.jit.script(network)(image), network(image), **EXACT)
    exported = torch.export.export(network, (image,)).module()
    torch.testing.assert_close(exported(image), network(image), **EXACT)


def test_it_takes_at_most_a_sixth_of_the_arithmetic_of_cddfuse() -> None:
    counts = []
    for network in (CDDFuseFast(CDDFuseFastConfig()), CDDFuse(CDDFuseConfig())):
        with torch.no_grad(), without_kernels(), FlopCounterMode(display=False) as counter:  # which sees PyTorch alone
            network(pair(1, 2, 64, 64))
        counts.append(counter.get_total_flops())
    assert 6 * counts[0] < counts[1]
    assert sum(parameter.numel() for parameter in CDDFuseFast(CDDFuseFastConfig()).parameters()) == 135_104


def test_weights_return_from_a_file_with_their_numbers(tmp_path: Path) -> None:
    network, path = randomized(), tmp_path / "fast.safetensors"
    save_weights(network, path, {})
    again = build("cddfuse-fast", path)
    assert again.config == SMALL
    with torch.no_grad():
        assert torch.equal(again(pair(1, 2, 16, 16)), network(pair(1, 2, 16, 16)))
    with pytest.raises(WeightsError, match=r"'cddfuse-fast', not of 'cddfuse'"):
        build("cddfuse", path)


def test_a_checkpoint_of_the_published_network_is_refused(shared: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint of 'cddfuse-fast' was ever published"):
        build("cddfuse-fast", shared / "reference" / "cddfuse_random_checkpoint.pth")


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"drawing_channels": 0}, {"encoder_blocks": -1}])
def test_impossible_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        CDDFuseFastConfig(**wrong)
