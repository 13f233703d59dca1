"""The fusion that can be undone: there and back, what it starts as, and what its latent is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.networks import Unfusing, UnfusingConfig, build, save_weights
from medfuse.networks.latent_flow import LatentFlow
from medfuse.networks.rules import maximum
from medfuse.networks.unfusing import brighter_first, undo_brighter_first
from medfuse.networks.wavelet import haar, unhaar

SMALL = UnfusingConfig(fusing_nodes=3, latent_nodes=2, hidden=6)


def pair(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def moved(config: UnfusingConfig = SMALL) -> Unfusing:
    """Return a network away from where it starts."""
    torch.manual_seed(0)
    network = Unfusing(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return network.eval()


@torch.no_grad()
def test_with_the_latent_both_sources_come_back() -> None:
    network, image = moved(), pair(2, 2, 12, 16)
    split = network.split(image)
    assert split.fused.shape == (2, 1, 12, 16)
    assert split.latent.shape == (2, 4, 6, 8)
    assert float((split.fused - maximum(image)).abs().max()) > 0.05
    torch.testing.assert_close(network.inverse(split.fused, split.latent), image, atol=1e-4, rtol=0.0)
    network, image = network.double(), image.double()
    split = network.split(image)
    torch.testing.assert_close(network.inverse(split.fused, split.latent), image, atol=1e-10, rtol=0.0)


@torch.no_grad()
def test_any_latent_is_a_pair_that_fuses_to_the_same_image() -> None:
    network = moved().double()
    fused = network.split(pair(1, 2, 12, 16).double()).fused
    latent = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sources = network.inverse(fused, latent)
    again = network.split(sources)
    torch.testing.assert_close(again.fused, fused, atol=1e-9, rtol=0.0)
    torch.testing.assert_close(again.latent, latent, atol=1e-7, rtol=0.0)


@torch.no_grad()
def test_it_starts_as_the_brighter_pixel_rule() -> None:
    network, image = build("unfusing"), pair(1, 2, 12, 16)
    torch.testing.assert_close(network(image), maximum(image), atol=1e-6, rtol=0.0)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (7, 9), (10, 33)])
def test_any_size_is_fused(size: tuple[int, int]) -> None:
    image = pair(2, 2, *size)
    fused = moved()(image)
    assert fused.shape == (2, 1, *size)
    assert 0.0 <= float(fused.min()) <= float(fused.max()) <= 1.0


@torch.no_grad()
def test_what_is_fused_is_what_is_split() -> None:
    network, image = moved(), pair(1, 2, 12, 16)
    torch.testing.assert_close(network(image), network.split(image).fused.clamp(0.0, 1.0))


@torch.no_grad()
def test_black_stays_black() -> None:
    assert float(moved()(torch.zeros(1, 2, 12, 16)).abs().max()) == 0.0


def test_the_determinant_is_that_of_the_jacobian() -> None:
    torch.manual_seed(0)
    flow = LatentFlow(2, 6, 4.0).double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    rest, fused = (pair(2, 1, 4, 2, 3)[number].double() for number in (0, 1))
    _, found = flow(rest, fused)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: flow(x.reshape(1, 4, 2, 3), fused)[0].flatten(), rest.flatten()
    )
    torch.testing.assert_close(found[0], torch.linalg.slogdet(jacobian).logabsdet)
    assert abs(found.item() + 24 * math.log(0.05)) > 0.1


def test_the_latent_has_no_say_in_the_fusion() -> None:
    network, image = moved(), pair(1, 2, 12, 16)
    split = network.split_for_training(image)
    (split.latent.square().mean() - split.log_determinant.mean()).backward()
    assert all(parameter.grad is None for parameter in network.fusing.parameters())
    assert all(parameter.grad is not None for parameter in network.latent.parameters())


@torch.no_grad()
def test_only_the_remainder_is_blurred_in_training() -> None:
    network, image = moved(), pair(1, 2, 12, 16)
    plain, blurred = network.split(image), network.split_for_training(image)
    assert torch.equal(plain.fused, blurred.fused)
    assert not torch.allclose(plain.latent, blurred.latent, atol=1e-4)


@torch.no_grad()
def test_draws_differ_where_the_fused_image_leaves_it_open() -> None:
    network, fused = moved(), pair(1, 1, 12, 16)
    first, again, other = (network.draw(fused, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert first.shape == (1, 2, 12, 16)
    assert 0.0 <= float(first.min()) <= float(first.max()) <= 1.0
    assert float((first - other).abs().mean()) > 1e-3


def test_the_brighter_source_and_the_difference_are_both_sources() -> None:
    image = pair(2, 2, 5, 4).double()
    brighter, difference = brighter_first(image).chunk(2, dim=1)
    torch.testing.assert_close(brighter, maximum(image))
    torch.testing.assert_close(difference, image[:, :1] - image[:, 1:])
    torch.testing.assert_close(undo_brighter_first(brighter_first(image)), image)


def test_the_wavelet_transform_keeps_lengths_and_means() -> None:
    image = pair(2, 3, 6, 8).double()
    bands = haar(image)
    assert bands.shape == (2, 12, 3, 4)
    torch.testing.assert_close(bands.square().sum(), image.square().sum())
    torch.testing.assert_close(bands[:, ::4] / 2.0, torch.nn.functional.avg_pool2d(image, 2))
    torch.testing.assert_close(unhaar(bands), image)


def test_odd_sides_cannot_be_split() -> None:
    network = Unfusing(SMALL)
    with pytest.raises(OptionError, match="the image is 7 x 8; pad it to even sides"):
        network.split(pair(1, 2, 7, 8))
    with pytest.raises(OptionError, match="the image is 8 x 7"):
        network.inverse(pair(1, 1, 8, 7), pair(1, 4, 4, 3))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"hidden": 0}, "hidden is 0; give a whole number of at least 1"),
        ({"fusing_nodes": -1}, "fusing_nodes is -1"),
        ({"widening": (1.0, 2.0)}, r"widening is \(1\.0, 2\.0\); give 8 numbers above 0"),
        ({"widening": (0.0,) * 8}, "give 8 numbers above 0"),
        ({"fusing_clamp": 0.0}, r"fusing_clamp is 0\.0; give a number above 0"),
    ],
)
def test_numbers_that_make_no_network_are_refused(numbers: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        UnfusingConfig(**numbers)


@torch.no_grad()
def test_weights_are_kept_in_a_file(tmp_path: Path) -> None:
    network, image = moved(replace(SMALL, widening=(1.0, 2.0) * 4)), pair(1, 2, 12, 16)
    save_weights(network, tmp_path / "mine.safetensors", {})
    found = cast(Unfusing, build("unfusing", tmp_path / "mine.safetensors"))
    torch.testing.assert_close(found(image), network(image))
    assert found.config == network.config
    assert found.widening("PT").flatten().tolist() == [1.0, 2.0]


def test_the_number_of_parameters_is_what_the_page_says() -> None:
    assert sum(parameter.numel() for parameter in Unfusing(UnfusingConfig()).parameters()) == 221_900


@torch.no_grad()
def test_the_shipped_weights_fuse_and_can_be_undone() -> None:
    network, image = build("unfusing", "default").double(), pair(1, 2, 48, 64).double()
    split = network.split(image)
    torch.testing.assert_close(network.inverse(split.fused, split.latent), image, atol=1e-9, rtol=0.0)
    assert float((split.fused - maximum(image)).abs().mean()) > 0.01
    assert network.widening().shape == (2, 1, 1)
    assert all(float(network.widening(modality).min()) > 1.0 for modality in ("", "CT", "PT", "NM"))
