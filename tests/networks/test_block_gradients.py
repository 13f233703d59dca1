"""The way back through blocks by the kernels: the gradients of PyTorch, at any size, on any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medfuse.networks.cddfuse import BaseBlock
from medfuse.networks.native import without_kernels
from medfuse.networks.recomputing import ComputedBlock, gradients_through
from medfuse.networks.restormer import RestormerBlock

pytestmark = pytest.mark.usefixtures("kernels")

SIZES = ((1, 1), (7, 3), (5, 64), (66, 131), (129, 65))
CLOSE = 3e-5  # of the norm of a gradient
MODULES: dict[str, Callable[[], ComputedBlock]] = {
    "Restormer block": lambda: RestormerBlock(64, 8, 2.0),
    "Restormer block with odd hidden width and heads": lambda: RestormerBlock(48, 2, 2.66),
    "Restormer block with the bias-free norm": lambda: RestormerBlock(16, 1, 2.0, norm_bias=False),
    "base block": lambda: BaseBlock(64, 8),
}


def randomized(name: str) -> ComputedBlock:
    torch.manual_seed(0)
    module = MODULES[name]()
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return module


def maps(module: ComputedBlock, size: tuple[int, int], batch: int = 2) -> tuple[Tensor, Tensor]:
    channels = module.norm1.body.weight.shape[0]  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(1)
    x, gradient = (torch.randn(batch, channels, *size, generator=generator) for _ in range(2))
    return x, gradient


def apart(found: Tensor | None, expected: Tensor | None) -> float:
    assert found is not None
    assert expected is not None
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.usefixtures("variant")
@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_float64(name: str) -> None:
    module = randomized(name)
    for size in SIZES:
        x, gradient = maps(module, size)
        module.double()
        expected = gradients_through(module._compute, x.double(), list(module.parameters()), gradient.double())
        module.float()
        with torch.no_grad():
            found = module.gradients(x, gradient)
        names = ["x", *(weight for weight, _ in module.named_parameters())]
        errors = {key: apart(*pair) for key, *pair in zip(names, found, expected, strict=True)}
        # The gradient of a single pixel's attention is rounding and little else.
        limit = CLOSE if size != (1, 1) else 10 * CLOSE
        assert max(errors.values()) < limit, (size, errors)


def test_kernels_do_it_and_pytorch_where_they_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    module = randomized("Restormer block")
    x, gradient = maps(module, (6, 7))

    def refuse(*_: object) -> None:
        msg = "PyTorch was asked"
        raise AssertionError(msg)

    with monkeypatch.context() as patched, torch.no_grad():
        patched.setattr(module, "_compute", refuse)
        module.gradients(x, gradient)
        with without_kernels(), pytest.raises(AssertionError, match="PyTorch was asked"):
            module.gradients(x, gradient)


@pytest.mark.parametrize("name", ["Restormer block", "base block"])
@torch.no_grad()
def test_same_bits_on_any_number_of_threads(name: str) -> None:
    module = randomized(name)
    x, gradient = maps(module, (70, 130))
    before = torch.get_num_threads()
    own = [key for key, _ in module.named_parameters() if not key.startswith(("attn.qkv", "norm1"))]
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            named = dict(zip(["x", *dict(module.named_parameters())], module.gradients(x, gradient), strict=True))
            # PyTorch's dense convolution goes back in an order of its own.
            found.append([named[key] for key in (own if name == "base block" else named)])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            assert first is not None
            assert other is not None
            assert torch.equal(first, other)


def test_numbers_that_are_not_finite_are_not_hidden() -> None:
    module = randomized("Restormer block")
    x, gradient = maps(module, (6, 7))
    gradient[0, 3, 2, 2] = torch.inf
    with torch.no_grad():
        of_x = module.gradients(x, gradient)[0]
    assert of_x is not None
    assert not of_x[0, :, 2, 2].isfinite().all()
