"""CDDFuse: equal to the published network, and lawful at any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfuse.errors import OptionError
from medfuse.networks import CDDFuse, CDDFuseConfig, Features, build
from medfuse.networks.cddfuse import BaseAttention

SMALL = CDDFuseConfig(channels=16, heads=2, blocks=1, detail_nodes=2)
GOLDEN = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture
def small() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(SMALL).eval()


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "reference" / "cddfuse_io.npz") as arrays:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def published(shared: Path) -> nn.Module:
    return build("cddfuse", shared / "reference" / "cddfuse_random_checkpoint.pth")


@pytest.fixture(scope="module")
def features(published: CDDFuse, golden: dict[str, Tensor]) -> dict[str, Features]:
    with torch.no_grad():
        return {source: published.encoder(golden[source]) for source in ("a", "b")}


def pair(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("source", ["a", "b"])
@pytest.mark.parametrize("kind", ["base", "detail", "shared"])
def test_features_equal_the_published_network(
    features: dict[str, Features], golden: dict[str, Tensor], kind: str, source: str
) -> None:
    torch.testing.assert_close(getattr(features[source], kind), golden[f"{kind}_{source}"], **GOLDEN)


@torch.no_grad()
def test_fusion_layers_equal_the_published_network(
    published: CDDFuse, features: dict[str, Features], golden: dict[str, Tensor]
) -> None:
    a, b = features["a"], features["b"]
    torch.testing.assert_close(published.base_fusion(a.base + b.base), golden["fused_base"], **GOLDEN)
    torch.testing.assert_close(published.detail_fusion(a.detail + b.detail), golden["fused_detail"], **GOLDEN)


@torch.no_grad()
@pytest.mark.parametrize(
    ("skip", "expected"), [("none", "fused"), ("sum", "fused_skip_sum"), ("first", "fused_skip_a")]
)
def test_fused_image_equals_the_published_network(
    shared: Path, golden: dict[str, Tensor], skip: str, expected: str
) -> None:
    network = build("cddfuse", shared / "reference" / "cddfuse_random_checkpoint.pth", CDDFuseConfig(skip=skip))
    image = torch.cat([golden["a"], golden["b"]], dim=1)
    torch.testing.assert_close(network(image), golden[expected], **GOLDEN)


@torch.no_grad()
@pytest.mark.parametrize("source", ["a", "b"])
def test_reconstruction_equals_the_published_network(
    published: CDDFuse, golden: dict[str, Tensor], source: str
) -> None:
    drawn, _ = published.reconstruct(golden[source])
    torch.testing.assert_close(drawn, golden[f"recon_{source}"], **GOLDEN)


def test_default_size_is_the_published_one() -> None:
    with torch.device("meta"):
        network = CDDFuse(CDDFuseConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_188_272


@torch.no_grad()
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (17, 23), (24, 32)])
def test_any_size_fuses_to_the_same_size_within_0_and_1(small: CDDFuse, size: tuple[int, int]) -> None:
    fused = small(pair(2, 2, *size))
    assert fused.shape == (2, 1, *size)
    assert ((fused > 0.0) & (fused < 1.0)).all()


@torch.no_grad()
def test_each_image_of_a_batch_is_fused_alone(small: CDDFuse) -> None:
    images = pair(3, 2, 20, 18)
    alone = torch.cat([small(image[None]) for image in images])
    torch.testing.assert_close(small(images), alone, atol=1e-6, rtol=0.0)


@torch.no_grad()
def test_float64_agrees_with_float32(small: CDDFuse) -> None:
    image = pair(1, 2, 20, 18, dtype=torch.float64)
    single = small(image.float())
    double = small.double()(image)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=0.0)


def test_gradient_reaches_every_parameter(small: CDDFuse) -> None:
    small(pair(2, 2, 16, 16)).sum().backward()
    unreached = [name for name, weight in small.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert unreached == []


@torch.no_grad()
def test_same_features_for_same_images(small: CDDFuse) -> None:
    image = pair(1, 1, 12, 12)
    _, first, second = small.decompose_and_fuse(torch.cat([image, image], dim=1))
    alone = small.encoder(image)
    for one, other, expected in zip(first, second, alone, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_base_attention_equals_its_two_convolutions() -> None:
    torch.manual_seed(0)
    attention = BaseAttention(8, 2)
    x = pair(2, 8, 9, 7)
    q, k, v = attention.qkv2(attention.qkv1(x)).reshape(2, 3, 2, 4, 63).unbind(1)
    weights = (nn.functional.normalize(q, dim=-1) @ nn.functional.normalize(k, dim=-1).mT).softmax(dim=-1)
    expected = attention.proj((weights @ v).reshape(2, 8, 9, 7))
    torch.testing.assert_close(attention(x), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("skip", ["none", "sum", "first"])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_network_is_equal(skip: str) -> None:
    torch.manual_seed(0)
    network = CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1, scale_clamp=2.0, skip=skip)).eval()
    scripted = torch.jit.script(network)
    for shape in ((1, 2, 12, 10), (3, 2, 7, 16)):
        torch.testing.assert_close(scripted(pair(*shape)), network(pair(*shape)))


@torch.no_grad()
def test_exported_network_takes_any_batch_and_size(small: CDDFuse) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    height, width = (torch.export.Dim(name, min=2, max=4096) for name in ("height", "width"))
    exported = torch.export.export(
        small, (pair(2, 2, 16, 12),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    ).module()
    for shape in ((2, 2, 16, 12), (1, 2, 9, 21), (3, 2, 2, 2)):
        torch.testing.assert_close(exported(pair(*shape)), small(pair(*shape)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "numbers",
    [
        {"skip": "both"},
        {"channels": 6, "heads": 4},
        {"channels": 7, "heads": 7},
        {"channels": 0},
        {"heads": 0},
        {"blocks": -1},
        {"expansion": 0.0},
        {"scale_clamp": -1.0},
    ],
)
def test_impossible_numbers_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=next(iter(numbers))):
        CDDFuseConfig(**numbers)


@torch.no_grad()
def test_bfloat16_stays_near_and_keeps_what_blocks_add_to() -> None:
    network, image = build("cddfuse", "default"), pair(1, 2, 40, 48)
    exact = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        fused, first, _ = network.decompose_and_fuse(image)
    assert {feature.dtype for feature in (fused, first.base, first.shared)} == {torch.float32}
    assert 1e-6 < (fused - exact).abs().max().item() < 0.01
