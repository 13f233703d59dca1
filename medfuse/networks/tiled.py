"""Step 5 of 8, network: CDDFuse and Restormer over an image of any size, in bounded memory, with the same result.

Attention across channels sees the whole image, so to cut it into tiles and treat each by itself changes what comes out.
Here every block goes over the image twice (``two_pass``), and the maps lie in strips (``strips``), perhaps in a file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medfuse.networks.cddfuse import CDDFuse
from medfuse.networks.restormer import Downsample, Restormer, Upsample, pad_to_multiple
from medfuse.networks.strips import HeldMap, MakeMap, RowMap, apply_block, apply_layer, joined
from medfuse.networks.two_pass import TwoPassBlock

_NODE_SEES = 2  # rows: two 3x3 convolutions one after the other
_OUTPUT_SEES = 2


def run_tiled(network: nn.Module, image: Tensor, make_map: MakeMap) -> Tensor:
    """Return what a network makes of images too large for its maps to be held.

    Args:
        network: CDDFuse or Restormer.
        image: (N, channels, H, W), as the network takes it, on the CPU.
        make_map: makes the maps in between; they are closed again.

    Returns:
        (N, channels, H, W), within rounding what ``network(image)`` gives.

    Raises:
        TypeError: if it is another network.
    """
    with torch.inference_mode():
        if isinstance(network, CDDFuse):
            return torch.cat([_fused(network, one[None], make_map) for one in image])
        if isinstance(network, Restormer):
            return torch.cat([_restored(network, one[None], make_map) for one in image])
    msg = f"{type(network).__name__} cannot be computed in strips"
    raise TypeError(msg)


def _fused(network: CDDFuse, image: Tensor, make_map: MakeMap) -> Tensor:
    height, width = image.shape[2:]
    base = _embedded(network, image[:, :1], make_map)
    detail = make_map(base.channels, height, width)
    _apply_nodes(network.encoder.detail_branch, base, detail)
    apply_block(network.encoder.base_branch, base)
    base.rest()
    detail.rest()
    other = _embedded(network, image[:, 1:], make_map)
    _apply_nodes(network.encoder.detail_branch, other, detail, add=True)
    apply_block(network.encoder.base_branch, other)
    apply_layer(torch.add, [base, other], base)
    other.close()
    apply_block(network.base_fusion, base)
    _apply_nodes(network.detail_fusion, detail, detail)
    apply_layer(lambda *both: network.decoder.reduce(joined(*both)), [base, detail], base)
    detail.close()
    _apply_all(network.decoder.blocks, base)
    logits = HeldMap(image.new_empty(1, 1, height, width))
    apply_layer(network.decoder.output, [base], logits, _OUTPUT_SEES)
    base.close()
    if network.skip != "none":
        logits.values += image[:, :1] if network.skip == "first" else image.sum(dim=1, keepdim=True)
    return torch.sigmoid(logits.values)


def _embedded(network: CDDFuse, image: Tensor, make_map: MakeMap) -> RowMap:
    """Return the features of one modality that both branches start from."""
    shared = make_map(network.config.channels, image.shape[2], image.shape[3])
    apply_layer(network.encoder.patch_embedding, [HeldMap(image)], shared, seen=1)
    _apply_all(network.encoder.blocks, shared)
    return shared


def _apply_nodes(nodes: nn.Sequential, source: RowMap, target: RowMap, add: bool = False) -> None:
    apply_layer(nodes, [source], target, _NODE_SEES * len(nodes), add)


def _apply_all(blocks: nn.Sequential, held: RowMap) -> None:
    for block in blocks:
        assert isinstance(block, TwoPassBlock)
        apply_block(block, held)


def _restored(network: Restormer, image: Tensor, make_map: MakeMap) -> Tensor:
    height, width = image.shape[2:]
    source = HeldMap(pad_to_multiple(image, network.side_multiple))
    level1 = make_map(network.config.channels, source.height, source.width)
    apply_layer(network.patch_embed, [source], level1, seen=1)
    embedded = _copy(level1, make_map) if network.dual_pixel else None
    _apply_all(network.encoder_level1, level1)
    level2 = _halved(network.down1_2, level1, make_map)
    _apply_all(network.encoder_level2, level2)
    level3 = _halved(network.down2_3, level2, make_map)
    _apply_all(network.encoder_level3, level3)
    latent = _halved(network.down3_4, level3, make_map)
    _apply_all(network.latent, latent)
    level3 = _joined(_doubled(network.up4_3, latent, make_map), level3, network.reduce_chan_level3, make_map)
    _apply_all(network.decoder_level3, level3)
    level2 = _joined(_doubled(network.up3_2, level3, make_map), level2, network.reduce_chan_level2, make_map)
    _apply_all(network.decoder_level2, level2)
    level1 = _joined(_doubled(network.up2_1, level2, make_map), level1, nn.Identity(), make_map)
    _apply_all(network.decoder_level1, level1)
    _apply_all(network.refinement, level1)
    if embedded is not None:
        apply_layer(lambda x, first: x + network.skip_conv(first), [level1, embedded], level1)
        embedded.close()
    drawn = HeldMap(image.new_empty(1, network.config.out_channels, source.height, source.width))
    apply_layer(network.output, [level1], drawn, seen=1)
    level1.close()
    restored = drawn.values if network.dual_pixel else drawn.values + source.values
    return restored[..., :height, :width]


def _copy(source: RowMap, make_map: MakeMap) -> RowMap:
    target = make_map(source.channels, source.height, source.width)
    apply_layer(lambda rows: rows, [source], target)
    target.rest()
    return target


def _halved(layer: Downsample, source: RowMap, make_map: MakeMap) -> RowMap:
    target = make_map(2 * source.channels, source.height // 2, source.width // 2)
    apply_layer(layer, [source], target, seen=2)
    source.rest()
    return target


def _doubled(layer: Upsample, source: RowMap, make_map: MakeMap) -> RowMap:
    target = make_map(source.channels // 2, 2 * source.height, 2 * source.width)
    apply_layer(layer, [source], target, seen=1)
    source.close()
    return target


def _joined(upper: RowMap, skipped: RowMap, reduce: nn.Module, make_map: MakeMap) -> RowMap:
    """Put two maps together, and reduce their channels."""
    channels = getattr(reduce, "out_channels", upper.channels + skipped.channels)
    target = make_map(channels, upper.height, upper.width)
    apply_layer(lambda *both: reduce(joined(*both)), [upper, skipped], target)
    upper.close()
    skipped.close()
    return target
