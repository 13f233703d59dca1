"""Slices too large for a network's maps go through it in strips, wherever slices are fused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from medfuse.inferers import SlicewiseInferer, tiled
from medfuse.inferers.slicewise import fuse_slices
from medfuse.networks import build

CPU = torch.device("cpu")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Treat more than 1000 pixels as many, and keep the shapes of what goes in strips."""
    monkeypatch.setattr(tiled, "LARGEST_WHOLE_PIXELS", 1000)
    kept: list[tuple[int, ...]] = []
    run: Callable[..., Tensor] = tiled.run_tiled

    def counted(network: nn.Module, slices: Tensor, maps: object) -> Tensor:
        kept.append(tuple(slices.shape))
        return run(network, slices, maps)

    monkeypatch.setattr(tiled, "run_tiled", counted)
    return kept


@pytest.mark.parametrize(("size", "strips"), [((20, 50), False), ((70, 15), True)])
def test_slices_beyond_the_limit_go_in_strips(runs: list[tuple[int, ...]], size: tuple[int, int], strips: bool) -> None:
    network, slices = build("cddfuse", "default"), torch.rand(2, 2, *size)
    with torch.inference_mode():
        expected = network(slices)
    torch.testing.assert_close(fuse_slices(slices, network, CPU), expected, atol=1e-5, rtol=0)
    assert bool(runs) == strips


def test_the_inferer_of_bundles_does_the_same(runs: list[tuple[int, ...]]) -> None:
    network, volumes = build("cddfuse", "default"), torch.rand(1, 2, 70, 15, 2)
    with torch.inference_mode():
        expected = torch.stack([network(volumes[..., i]) for i in range(2)], dim=-1)
    torch.testing.assert_close(SlicewiseInferer(2)(volumes, network), expected, atol=1e-5, rtol=0)
    assert sum(shape[0] for shape in runs) == 2


def test_a_restorer_too(runs: list[tuple[int, ...]]) -> None:
    network, slices = build("restormer", "default"), torch.rand(1, 1, 70, 15)
    with torch.inference_mode():
        torch.testing.assert_close(fuse_slices(slices, network, CPU), network(slices), atol=1e-5, rtol=0)
    assert runs == [(1, 1, 70, 15)]


def test_a_rule_is_called_as_it_is(runs: list[tuple[int, ...]]) -> None:
    fused = fuse_slices(torch.rand(1, 2, 70, 15), lambda image: image.amax(dim=1, keepdim=True), CPU)
    assert fused.shape == (1, 1, 70, 15)
    assert runs == []
