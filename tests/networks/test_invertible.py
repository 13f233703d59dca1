"""Invertible couplings: their inverse, their determinant, their bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfuse.errors import OptionError
from medfuse.networks import build
from medfuse.networks.invertible import AdditiveNode, Bottleneck, InvertibleNode, OrthogonalMixing
from medfuse.networks.reversible import InvertibleSequence


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 8, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def node(scale_clamp: float) -> InvertibleNode:
    torch.manual_seed(0)
    return InvertibleNode(8, scale_clamp).double()


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 8, 2, 2), (2, 8, 3, 7)])
def test_shape_is_kept(shape: tuple[int, ...]) -> None:
    assert node(0.0)(torch.zeros(shape, dtype=torch.float64)).shape == shape


def make(kind: str) -> nn.Module:
    """Return two nodes of a kind that were moved away from where they start."""
    torch.manual_seed(0)
    nodes = {
        "published": lambda: InvertibleNode(8),
        "clamped": lambda: InvertibleNode(8, 0.5),
        "orthogonal": lambda: InvertibleNode(8, 0.5, "orthogonal"),
        "additive": lambda: AdditiveNode(8),
        "additive, free": lambda: AdditiveNode(8, "free"),
    }
    stack = InvertibleSequence([nodes[kind]() for _ in range(2)])
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return stack


KINDS = ("published", "clamped", "orthogonal", "additive", "additive, free")


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_what_went_in_comes_back(x: Tensor, kind: str) -> None:
    stack = make(kind)
    single = x.float()
    assert float((stack.inverse(stack(single)) - single).norm() / single.norm()) < 1e-4
    stack.double()
    torch.testing.assert_close(stack.inverse(stack(x)), x, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_determinant_is_that_of_the_jacobian(kind: str) -> None:
    stack = make(kind).double()
    x = torch.randn(2, 8, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y, found = stack.with_log_determinant(x)
    torch.testing.assert_close(y, stack(x))
    for one, value in zip(x, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda flat: stack(flat.reshape(1, 8, 2, 3)).flatten(), one.flatten()
        )
        torch.testing.assert_close(value, torch.linalg.slogdet(jacobian).logabsdet)
    if kind == "additive":
        assert float(found.abs().max()) == 0.0


def test_orthogonal_mixing_stays_orthogonal_in_training(x: Tensor) -> None:
    torch.manual_seed(0)
    mixing = OrthogonalMixing(8).double()
    before = mixing.rotation().detach()
    optimizer = torch.optim.SGD(mixing.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (mixing(x) - x.flip(1)).square().mean().backward()
        optimizer.step()
    weight = mixing.rotation().detach()
    assert float((weight - before).abs().max()) > 1e-3
    torch.testing.assert_close(weight @ weight.T, torch.eye(8, dtype=torch.float64))


@torch.no_grad()
def test_published_weights_are_invertible(shared: Path) -> None:
    published = build("cddfuse", shared / "reference" / "cddfuse_random_checkpoint.pth")
    with np.load(shared / "reference" / "cddfuse_io.npz") as arrays:
        features, detail = (torch.from_numpy(arrays[name]) for name in ("shared_a", "detail_a"))
    branch = InvertibleSequence(published.double().encoder.detail_branch)
    there = branch(features.double())
    torch.testing.assert_close(there, detail.double(), atol=1e-5, rtol=0.0)
    assert float((branch.inverse(there) - features).norm() / features.norm()) < 1e-10


@pytest.mark.parametrize("arguments", [(7, 0.0, "free"), (8, 0.0, "random")])
def test_what_makes_no_coupling_is_refused(arguments: tuple[int, float, str]) -> None:
    with pytest.raises(OptionError, match=r"channels is 7|mixing is 'random'; choose one of free, orthogonal"):
        InvertibleNode(*arguments)
    with pytest.raises(OptionError, match="activation is 'relu'; choose one of relu6, silu"):
        Bottleneck(8, activation="relu")


@torch.no_grad()
def test_clamp_bounds_the_exponent(x: Tensor) -> None:
    free, bounded = node(0.0), node(0.5)
    for coupling in (free, bounded):
        coupling.rho.layers[-1].weight.mul_(1000.0)
        coupling.eta.layers[-1].weight.zero_()
    z1 = free.mix(x).chunk(2, dim=1)[0]
    log_scale = (bounded(x)[:, :4] / z1).log()
    assert (free(x)[:, :4] / z1).log().abs().max() > 1.0
    assert 0.45 < log_scale.abs().max() <= 0.5 + 1e-9


@torch.no_grad()
def test_a_wide_clamp_is_no_clamp(x: Tensor) -> None:
    torch.testing.assert_close(node(1e6)(x), node(0.0)(x), atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_bottleneck_looks_one_pixel_far(x: Tensor) -> None:
    torch.manual_seed(0)
    bottleneck = Bottleneck(8).double()
    moved = x.clone()
    moved[..., 0, 0] += 1.0
    changed = (bottleneck(moved) != bottleneck(x)).any(dim=1)
    assert changed[:, :2, :2].any()
    assert not changed[:, 2:, :].any()
    assert not changed[:, :, 2:].any()
