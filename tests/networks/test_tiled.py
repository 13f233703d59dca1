"""CDDFuse and Restormer in strips: the same as on the whole image, with kernels and without, wherever the maps lie."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medfuse.io.scratch_maps import ScratchMaps
from medfuse.networks import CDDFuse, CDDFuseConfig, Restormer, RestormerConfig, build, strips
from medfuse.networks.cddfuse import BaseBlock
from medfuse.networks.native import without_kernels
from medfuse.networks.restormer import RestormerBlock
from medfuse.networks.strips import HeldMap, apply_block, apply_layer, strip_rows, windows
from medfuse.networks.tiled import run_tiled


@pytest.fixture(autouse=True)
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a strip be one tile high, however small the image."""
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)


WAYS = pytest.mark.parametrize("way", [nullcontext, without_kernels], ids=["kernels", "torch"])
CLOSE = 1e-5


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def livelier(network: nn.Module) -> nn.Module:
    """Move every weight, so that none is 1 or 0 as it begins."""
    generator = torch.Generator().manual_seed(1)
    for weight in network.parameters():
        weight.data = weight.data + 0.1 * torch.randn(weight.shape, generator=generator)
    return network.eval()


@torch.inference_mode()
def largest_difference(network: nn.Module, image: Tensor, memory_bytes: int = 1 << 19) -> float:
    whole = network(image)
    with ScratchMaps(memory_bytes) as maps:
        tiled = run_tiled(network, image, maps)
    assert maps.free_bytes == memory_bytes, "every map is closed"
    assert tiled.shape == whole.shape
    return float((tiled - whole).abs().max() / whole.abs().max().clamp_min(1.0))


@WAYS
@pytest.mark.parametrize("size", [(2, 2), (64, 40), (65, 33), (130, 24), (193, 50)])
def test_cddfuse_fuses_in_strips_as_it_does_at_once(way: Any, size: tuple[int, int]) -> None:
    with way():
        assert largest_difference(build("cddfuse", "default"), noise(2, 2, *size)) < CLOSE


@WAYS
@pytest.mark.parametrize(
    "options",
    [
        {"skip": "sum"},
        {"skip": "first", "detail_nodes": 0},
        {"blocks": 0, "scale_clamp": 1.5},
        {"mixing": "orthogonal", "memory": "reversible"},
        {"channels": 24, "heads": 3, "memory": "recomputed"},
    ],
)
def test_every_form_of_cddfuse(way: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    with way():
        assert largest_difference(CDDFuse(CDDFuseConfig(**options)).eval(), noise(1, 2, 140, 24)) < CLOSE


@WAYS
@pytest.mark.parametrize("size", [(5, 7), (66, 40), (200, 17)])
@pytest.mark.parametrize(
    "options",
    [
        {"channels": 16},
        {"channels": 8, "bias": True, "norm_bias": False, "refinement_blocks": 0},
        {"channels": 8, "in_channels": 2, "out_channels": 1, "dual_pixel": True, "blocks": (1, 0, 2, 1)},
    ],
)
def test_restormer_restores_in_strips_as_it_does_at_once(
    way: Any, options: dict[str, Any], size: tuple[int, int]
) -> None:
    given = {"in_channels": 1, "out_channels": 1, "blocks": (1, 1, 1, 1), "refinement_blocks": 1, **options}
    torch.manual_seed(0)
    network = livelier(Restormer(RestormerConfig(**given)))
    with way():
        assert largest_difference(network, noise(1, given["in_channels"], *size)) < CLOSE


@pytest.mark.parametrize(
    "block", [RestormerBlock(64, 8, 2.0), RestormerBlock(16, 2, 2.66, bias=True), BaseBlock(64, 8)]
)
def test_a_block_in_two_passes_changes_no_bit(block: nn.Module) -> None:
    """Strips are tiles of the kernels, and sums are added in the same order; PyTorch is held to rounding."""
    block = livelier(block)
    image = noise(1, block.norm1.body.weight.shape[0], 150, 140)
    held = HeldMap(image.clone(memory_format=torch.channels_last))
    with torch.inference_mode():
        apply_block(block, held)  # type: ignore[arg-type]
        whole = block(image)
    if block.parts().attention_out.bias is None:  # type: ignore[operator]
        assert torch.equal(held.values, whole)
    torch.testing.assert_close(held.values, whole, atol=1e-5, rtol=1e-5)


def test_tiles_that_know_nothing_of_each_other_are_not_the_same() -> None:
    """The reason for two passes: attention sees the whole image."""
    network, image = build("cddfuse", "default"), noise(1, 2, 128, 64)
    image[:, :, 64:] *= 0.1
    with torch.inference_mode():
        apart = torch.cat([network(half) for half in image.chunk(2, dim=2)], dim=2)
        whole = network(image)
    inner = slice(16, 48)  # away from the cut, where the border cannot be the reason
    assert (apart - whole)[:, :, inner].abs().max() > 100 * CLOSE


def test_windows_hold_what_was_there_before_it_was_written_over() -> None:
    values = torch.arange(200.0).view(1, 1, 200, 1)
    held = HeldMap(values.clone())
    for window in windows(held, 2, 64):
        begin = window.first - window.above
        assert torch.equal(window.values, values[:, :, begin : begin + window.values.shape[2]])
        assert window.end - window.above == min(64, 200 - window.first)
        held.write(window.first, -torch.ones(1, 1, window.end - window.above, 1))
    assert (held.values == -1).all()


def test_strips_are_whole_tiles_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert strip_rows(64, 2048) == 128
    assert strip_rows(64, 4096) == strip_rows(64, 100_000) == 64
    assert strip_rows(48, 1000) % 64 == 0
    assert 64 < strip_rows(48, 1000) * 48 * 1000 * 4 <= strips.STRIP_BYTES


def test_a_layer_may_add_to_what_is_there() -> None:
    source, target = HeldMap(noise(1, 3, 70, 5)), HeldMap(torch.ones(1, 3, 70, 5))
    apply_layer(lambda rows: 2 * rows, [source], target, add=True)
    torch.testing.assert_close(target.values, 1 + 2 * source.values)


def test_other_networks_are_refused() -> None:
    with ScratchMaps() as maps, pytest.raises(TypeError, match="Conv2d cannot be computed in strips"):
        run_tiled(nn.Conv2d(2, 1, 1), noise(1, 2, 8, 8), maps)
