"""Step 5 of 8, network: the numbers of a Restormer, read off the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from medfuse.errors import OptionError, WeightsError
from medfuse.networks.restormer import RestormerConfig

_LEVELS = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")


def restormer_config_of(state: Mapping[str, Tensor], source: str) -> RestormerConfig:
    """Read the numbers of a Restormer off the shapes of its tensors.

    Args:
        state: the tensors by their published names.
        source: what to call their file in the message.

    Raises:
        WeightsError: if a tensor that tells a number is missing, or the numbers make no network.
    """
    channels, in_channels = (_side(state, "patch_embed.proj.weight", side, 4, source) for side in (0, 1))
    hidden = [_side(state, f"{level}.0.ffn.project_out.weight", 1, 4, source) for level in _LEVELS]
    heads = [_side(state, f"{level}.0.attn.temperature", 0, 3, source) for level in _LEVELS]
    blocks = [_count(state, level) for level in _LEVELS]
    try:
        return RestormerConfig(
            in_channels=in_channels,
            out_channels=_side(state, "output.weight", 0, 4, source),
            channels=channels,
            blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
            refinement_blocks=_count(state, "refinement"),
            heads=(heads[0], heads[1], heads[2], heads[3]),
            expansion=_expansion([channels * 2**level for level in range(len(_LEVELS))], hidden, source),
            bias="encoder_level1.0.attn.qkv.bias" in state,
            norm_bias="encoder_level1.0.norm1.body.bias" in state,
            dual_pixel="skip_conv.weight" in state,
        )
    except OptionError as error:
        msg = f"{source}: its tensors make no Restormer: {error}"
        raise WeightsError(msg) from None


def _side(state: Mapping[str, Tensor], key: str, side: int, sides: int, source: str) -> int:
    if key not in state:
        msg = f"{source}: tensor {key!r} is missing; this file is not for this network"
        raise WeightsError(msg)
    shape = state[key].shape
    if len(shape) != sides:
        msg = f"{source}: tensor {key!r} has shape {tuple(shape)}, expected {sides} sides"
        raise WeightsError(msg)
    return shape[side]


def _expansion(widths: list[int], hidden: list[int], source: str) -> float:
    """Return a factor that gives every level's hidden width, rounded down; the published one if it does."""
    lowest = max(inner / outer for inner, outer in zip(hidden, widths, strict=True))
    highest = min((inner + 1) / outer for inner, outer in zip(hidden, widths, strict=True))
    for expansion in (RestormerConfig.expansion, lowest, (lowest + highest) / 2.0):
        if all(int(outer * expansion) == inner for inner, outer in zip(hidden, widths, strict=True)):
            return expansion
    msg = f"{source}: the feed-forward widths {hidden} are no one multiple of {widths}; this is no Restormer"
    raise WeightsError(msg)


def _count(state: Mapping[str, Tensor], level: str) -> int:
    return len({match.group(1) for key in state if (match := re.match(rf"{level}\.(\d+)\.", key))})
