"""Step 5 of 8, network: where a map repeats one pixel, as in the black margin of a picture.

Wherever all that a layer sees is the same, its result is the same too. So it is computed once, and counted as often as
it occurs. This holds for any value and any map; nothing has to be known of the picture.
"""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from medfuse.compiled import Switch
from medfuse.networks.native.library import address, check


class Alike(NamedTuple):
    """Where maps repeat one pixel.

    Attributes:
        around: (B, H, W) uint8, the steps from each pixel to the nearest that differs or lies beyond the image, at
            most 5; None if no map repeats one. Not written where ``repeated`` is below 0.
        repeated: (B,) int64, the pixel repeated, counted through all maps, or -1; None as ``around``.
    """

    around: Tensor | None
    repeated: Tensor | None

    def addresses(self) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
        """Return where both begin, for a kernel."""
        return address(self.around), address(self.repeated)


NOTHING_ALIKE = Alike(None, None)

_counting = Switch()


def repeats_computed() -> AbstractContextManager[None]:
    """Compute what repeats as often as it occurs for a while, in the whole process: to compare the two."""
    return _counting.off()


def find_alike(kernels: ctypes.CDLL, x: Tensor) -> Alike:
    """Find where each of some maps repeats one pixel.

    Args:
        kernels: of ``usable_kernels``.
        x: (B, C, H, W) float32, channels last.
    """
    if not _counting.on:
        return NOTHING_ALIKE
    batch, channels, height, width = x.shape
    around, repeated = torch.empty(batch, height, width, dtype=torch.uint8), torch.empty(batch, dtype=torch.int64)
    places = (address(around), address(repeated))
    check(kernels.medfuse_alike(address(x), batch, height, width, channels, *places, torch.get_num_threads()))
    return Alike(around, repeated) if bool((repeated >= 0).any()) else NOTHING_ALIKE
