"""The kernels in C++: the numbers of PyTorch's form, at any size, on any number of threads."""

from __future__ import annotations

import copy
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from benchmarks.plain_cddfuse import plain_form
from torch import Tensor, nn

from medfuse.networks import CDDFuse, CDDFuseConfig, Restormer, RestormerConfig, build
from medfuse.networks.cddfuse import BaseBlock
from medfuse.networks.invertible import InvertibleNode
from medfuse.networks.native import library, without_kernels
from medfuse.networks.restormer import RestormerBlock

pytestmark = pytest.mark.usefixtures("kernels")

CLOSE = {"atol": 1e-5, "rtol": 1e-5}  # of values up to 10
SIZES = ((1, 1), (2, 2), (1, 9), (7, 1), (5, 129), (65, 3), (66, 131), (129, 130))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def randomized(module: nn.Module) -> nn.Module:
    """Give every weight a value that a wrong order or a forgotten one would show."""
    generator = torch.Generator().manual_seed(1)
    for weight in module.parameters():
        scale = 0.5 / max(1.0, weight[0].numel() ** 0.5) if weight.dim() > 1 else 0.5
        weight.data = weight.data + scale * torch.randn(weight.shape, generator=generator)
    return module.eval()


MODULES: dict[str, Callable[[], nn.Module]] = {
    "Restormer block": lambda: RestormerBlock(32, 2, 2.0),
    "Restormer block with odd hidden width": lambda: RestormerBlock(16, 1, 2.66),
    "Restormer block with the bias-free norm": lambda: RestormerBlock(64, 8, 2.0, norm_bias=False),
    "base block": lambda: BaseBlock(64, 8),
    "invertible node": lambda: InvertibleNode(64),
    "invertible node with clamp and rotation": lambda: InvertibleNode(32, 1.5, "orthogonal"),
}


@torch.no_grad()
@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("name", MODULES)
def test_kernels_give_what_pytorch_gives(name: str) -> None:
    module = randomized(MODULES[name]())
    channels = next(w.shape[0] for k, w in module.named_parameters() if k.endswith(("body.weight", "mix.bias")))
    sizes = [size for size in SIZES if min(size) > 1 or "node" not in name]
    for size in sizes:
        x = noise(2, channels, *size)
        with without_kernels():
            expected = module.double()(x.double()).float()
        found = module.float()(x)
        torch.testing.assert_close(found, expected, **CLOSE)
        assert found.is_contiguous(memory_format=torch.channels_last), "PyTorch computed it"


@torch.no_grad()
def test_whole_network_is_as_near_to_float64_as_the_plain_form() -> None:
    network = build("cddfuse", "default")
    image = torch.rand(1, 2, 70, 90, generator=torch.Generator().manual_seed(2))
    with without_kernels():
        exact = copy.deepcopy(network).double()(image.double())
        merged = network(image)
        plain = plain_form(network)(image)
    of_plain, of_merged, of_kernels = (
        (found.double() - exact).square().mean() for found in (plain, merged, network(image))
    )
    assert of_kernels <= 2.0 * of_plain
    assert of_merged <= 2.0 * of_plain


@torch.no_grad()
def test_same_bits_on_any_number_of_threads() -> None:
    network = randomized(CDDFuse(CDDFuseConfig(channels=32, heads=4, blocks=1, detail_nodes=1)))
    image = torch.rand(1, 2, 140, 150, generator=torch.Generator().manual_seed(3))
    before = torch.get_num_threads()
    x = network.encoder.patch_embedding(image[:, :1])
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(network.encoder.detail_branch(network.encoder.base_branch(network.encoder.blocks(x))))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@torch.no_grad()
def test_changed_weights_are_seen() -> None:
    block = randomized(RestormerBlock(16, 1, 2.0))
    x = noise(1, 16, 8, 8)
    before = block(x)
    block.ffn.project_out.weight.mul_(2.0)
    after = block(x)
    with without_kernels():
        torch.testing.assert_close(after, block(x), **CLOSE)
    assert not torch.allclose(before, after)


@torch.no_grad()
def test_numbers_that_are_not_finite_stay_so() -> None:
    node = randomized(InvertibleNode(32))
    x = noise(1, 32, 6, 6)
    x[0, 3, 2, 2] = torch.nan
    assert node(x)[0, :, 2, 2].isnan().any()
    x[0, 3, 2, 2] = 0.0
    node.rho.layers[5].weight.fill_(1e6)
    with without_kernels():
        expected = node(x)
    assert expected.isinf().any()
    assert torch.equal(node(x).isinf(), expected.isinf())


def test_gradients_and_other_number_types_are_left_to_pytorch() -> None:
    network = Restormer(RestormerConfig(1, 1, 16, (1, 1, 1, 1), 1, (1, 1, 1, 1)))
    image = torch.rand(1, 1, 16, 16)
    network(image).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    with torch.no_grad():
        assert library.usable_kernels(image) is not None
        assert library.usable_kernels(image.double()) is None
        assert library.usable_kernels(image.to("meta")) is None
        assert network.double()(image.double()).dtype is torch.float64
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert library.usable_kernels(image) is None
    assert library.usable_kernels(image) is None, "gradients are on"


@torch.no_grad()
def test_unknown_numbers_are_left_to_pytorch() -> None:
    for block in (RestormerBlock(12, 2, 2.0), RestormerBlock(16, 4, 2.0), RestormerBlock(16, 1, 2.0, bias=True)):
        channels = block.norm2.body.weight.shape[0]
        with without_kernels():
            expected = block(noise(1, channels, 9, 9))
        assert torch.equal(block(noise(1, channels, 9, 9)), expected)


def test_installation_goes_on_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setuptools_spec = importlib.util.find_spec("setuptools")
    assert setuptools_spec is not None
    from setuptools import Extension
    from setuptools.dist import Distribution

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    source = tmp_path / "kernels.cpp"
    shutil.copy(library._FOLDER / "kernels.cpp", source)
    made = Distribution({"name": "x", "ext_modules": [Extension("x._avx2", ["kernels.cpp"], optional=True)]})
    command = made.get_command_obj("build_ext")
    command.ensure_finalized()
    command.run()
    assert not list(tmp_path.glob("**/*.so"))
