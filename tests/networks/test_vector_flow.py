"""The invertible network of vectors: there, back, and its determinant."""

from __future__ import annotations

import pytest
import torch

from medfuse.errors import OptionError
from medfuse.networks.vector_flow import VectorFlow


def flow(size: int, nodes: int = 3) -> VectorFlow:
    torch.manual_seed(0)
    return VectorFlow(size, nodes, hidden=8)


@torch.no_grad()
@pytest.mark.parametrize("size", [2, 5, 6])
def test_what_went_in_comes_back(size: int) -> None:
    network, x = flow(size, 12), torch.randn(7, size, generator=torch.Generator().manual_seed(1))
    y = network(x)
    assert y.shape == x.shape
    assert float((y - x).abs().max()) > 0.1
    torch.testing.assert_close(network.inverse(y), x, atol=1e-4, rtol=0.0)
    network.double()
    torch.testing.assert_close(network.inverse(network(x.double())), x.double(), atol=1e-10, rtol=0.0)


@pytest.mark.parametrize("size", [2, 5])
def test_the_determinant_is_that_of_the_jacobian(size: int) -> None:
    network = flow(size).double()
    x = torch.randn(3, size, generator=torch.Generator().manual_seed(1)).double()
    y, found = network.with_log_determinant(x)
    torch.testing.assert_close(y, network(x))
    for one, value in zip(x, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda each: network(each[None])[0], one)
        torch.testing.assert_close(value, torch.linalg.slogdet(jacobian).logabsdet)
    assert found.abs().min().item() > 1e-3


@torch.no_grad()
def test_the_clamp_bounds_what_a_node_can_stretch() -> None:
    network = VectorFlow(4, 1, 8, clamp=0.5)
    for parameter in network.parameters():
        parameter.mul_(100.0)
    _, found = network.with_log_determinant(torch.randn(50, 4, generator=torch.Generator().manual_seed(1)))
    assert 0.9 < found.abs().max().item() <= 4 * 0.5 + 1e-6


@pytest.mark.parametrize("numbers", [{"size": 1}, {"nodes": 0}, {"hidden": 0}, {"clamp": 0.0}])
def test_numbers_that_make_no_network_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="give at least 2, 1, 1, and above 0"):
        VectorFlow(**{"size": 4, **numbers})
