"""Step 5 of 8, network: slices too large for a network's maps go through it in strips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from medfuse.io.scratch_maps import ScratchMaps
from medfuse.networks import CDDFuse, Restormer
from medfuse.networks.tiled import run_tiled

LARGEST_WHOLE_PIXELS = 1 << 20  # a map of 64 channels is a quarter of a GiB there


def bounded(network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Callable[[Tensor], Tensor]:
    """Return a network that takes slices of any size in bounded memory, on a CPU.

    Args:
        network: maps (n, C, H, W); CDDFuse and Restormer go over more than ``LARGEST_WHOLE_PIXELS`` in strips, which
            gives the same within rounding. Others are called as they are.
        *args: handed on to the network after the slices.
        **kwargs: likewise.
    """

    def called(slices: Tensor) -> Tensor:
        large = slices.shape[-2] * slices.shape[-1] > LARGEST_WHOLE_PIXELS
        if large and slices.device.type == "cpu" and isinstance(network, CDDFuse | Restormer):
            with ScratchMaps() as maps:
                return run_tiled(network, slices, maps)
        return network(slices, *args, **kwargs)

    return called
