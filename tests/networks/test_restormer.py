"""Restormer: equal to the published network, its attention equal to the textbook's, at any size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.networks.blocks.cablock import FeedForward
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.networks import Restormer, RestormerConfig, build
from medfuse.networks.restormer import (
    GDFN,
    MDTA,
    BiasFreeNorm,
    ChannelNorm,
    Downsample,
    Upsample,
    attend,
    channel_attention,
    pad_to_multiple,
)

SMALL = RestormerConfig(in_channels=1, out_channels=1, channels=8, blocks=(1, 1, 1, 1), refinement_blocks=1)
VARIANTS = ("biasfree", "withbias_rgb", "dualpixel")


@pytest.fixture
def small() -> Restormer:
    torch.manual_seed(0)
    return Restormer(SMALL).eval()


def as_monai(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors as MONAI does, which wraps each convolution."""
    return {re.sub(r"\.(weight|bias)$", r".conv.\1", name): tensor for name, tensor in state.items()}


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_output_equals_the_published_network(shared: Path, variant: str) -> None:
    network = build("restormer", shared / "reference" / f"restormer_{variant}.pth")
    with np.load(shared / "reference" / f"restormer_{variant}_io.npz") as arrays:
        x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    torch.testing.assert_close(network(x), y, atol=1e-5, rtol=0.0)


def test_default_size_is_the_papers() -> None:
    with torch.device("meta"):
        network = Restormer(RestormerConfig())
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 26.1


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 40), (16, 24), (17, 9)])
def test_any_size_is_restored_to_the_same_size(small: Restormer, size: tuple[int, int]) -> None:
    image = noise(1, 1, *size)
    restored = small(image)
    assert restored.shape == image.shape
    assert torch.isfinite(restored).all()


@torch.no_grad()
def test_padding_changes_nothing_but_the_border(small: Restormer) -> None:
    image = noise(1, 1, 13, 11)
    padded = F.pad(image, [0, 5, 0, 3], mode="reflect")
    torch.testing.assert_close(small(image), small(padded)[..., :13, :11])


@pytest.mark.parametrize(("side", "expected"), [(8, 8), (9, 16), (16, 16), (1, 8)])
def test_sides_are_padded_to_the_next_multiple(side: int, expected: int) -> None:
    image = noise(1, 1, side, 16)
    padded = pad_to_multiple(image, 8)
    assert padded.shape == (1, 1, expected, 16)
    assert torch.equal(padded[..., :side, :], image)


@torch.no_grad()
def test_attention_equals_the_textbook() -> None:
    torch.manual_seed(0)
    attention = MDTA(8, 2)
    attention.temperature.copy_(torch.tensor([0.5, 2.0])[:, None, None])
    x = noise(2, 8, 9, 7)
    q, k, v = attention.qkv_dwconv(attention.qkv(x)).reshape(2, 3, 2, 4, 63).unbind(1)  # (B, heads, C/heads, H*W)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    weights = (torch.einsum("bhcp,bhdp->bhcd", q, k) * attention.temperature).softmax(dim=-1)
    mixed = torch.einsum("bhcd,bhdp->bhcp", weights, v).reshape(2, 8, 9, 7)
    torch.testing.assert_close(attention(x), attention.project_out(mixed), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_feed_forward_equals_monai() -> None:
    torch.manual_seed(0)
    x = noise(2, 8, 9, 7)
    ours, theirs = GDFN(8, 16), FeedForward(2, 8, 2.0, bias=False)
    theirs.load_state_dict(as_monai(ours.state_dict()))
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=1e-5)


def test_attention_rows_sum_to_1_within_their_head() -> None:
    attention = channel_attention(noise(2, 50, 12), noise(2, 50, 12), torch.full((4, 1, 1), 3.0))
    rows = attention.sum(dim=-1)
    torch.testing.assert_close(rows, torch.ones_like(rows))
    blocks = torch.block_diag(*[torch.ones(3, 3)] * 4).bool()
    assert (attention[:, ~blocks] == 0.0).all()
    assert (attention[:, blocks] > 0.0).all()


def test_attention_does_not_see_the_scale_of_queries_and_keys() -> None:
    q, k, v = noise(3, 1, 8, 5, 5).unbind(0)
    one = torch.ones(2, 1, 1)
    torch.testing.assert_close(
        attend(torch.cat([100.0 * q, 0.01 * k, v], dim=1), one), attend(torch.cat([q, k, v], dim=1), one)
    )


def test_blank_channels_give_finite_values_and_gradients() -> None:
    x = torch.zeros(1, 8, 6, 6, requires_grad=True)
    torch.manual_seed(0)
    MDTA(8, 2)(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_norm_works_on_each_pixel_over_its_channels() -> None:
    x = 3.0 * noise(2, 8, 5, 4) + 1.0
    normalized = ChannelNorm(8)(x)
    torch.testing.assert_close(normalized.mean(dim=1), torch.zeros(2, 5, 4), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(normalized.var(dim=1, unbiased=False), torch.ones(2, 5, 4), atol=1e-4, rtol=0.0)


def test_norm_without_bias_keeps_the_mean() -> None:
    x = noise(3, 8)
    expected = x / torch.sqrt(x.var(dim=-1, unbiased=False, keepdim=True) + 1e-5)
    torch.testing.assert_close(BiasFreeNorm(8)(x), expected)


def test_levels_halve_and_double() -> None:
    x = noise(1, 8, 6, 4)
    assert Downsample(8)(x).shape == (1, 16, 3, 2)
    assert Upsample(8)(x).shape == (1, 4, 12, 8)


def test_gradient_reaches_every_parameter(small: Restormer) -> None:
    small(noise(1, 1, 16, 16)).square().sum().backward()
    unreached = [name for name, weight in small.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unreached == []


@torch.no_grad()
@pytest.mark.parametrize("dual_pixel", [False, True])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_network_is_equal(dual_pixel: bool) -> None:
    torch.manual_seed(0)
    config = RestormerConfig(1, 1, 8, (1, 1, 1, 1), 1, norm_bias=dual_pixel, dual_pixel=dual_pixel)
    network = Restormer(config).eval()
    scripted = torch.jit.script(network)
    for shape in ((1, 1, 16, 8), (2, 1, 13, 10)):
        torch.testing.assert_close(scripted(noise(*shape)), network(noise(*shape)))


@torch.no_grad()
def test_exported_network_takes_any_batch(small: Restormer) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(small, (noise(2, 1, 12, 16),), dynamic_shapes=({0: batch},)).module()
    for number in (1, 2, 3):
        image = noise(number, 1, 12, 16)
        torch.testing.assert_close(exported(image), small(image), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "numbers",
    [
        {"channels": 7},
        {"channels": 0},
        {"heads": (1, 2, 4, 5)},
        {"heads": (0, 1, 1, 1)},
        {"blocks": (-1, 1, 1, 1)},
        {"refinement_blocks": -1},
        {"expansion": 0.0},
        {"in_channels": 6},
        {"in_channels": 0},
    ],
)
def test_impossible_numbers_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=next(iter(numbers))):
        RestormerConfig(**numbers)
