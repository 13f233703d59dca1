"""Step 5 of 8, network: maps that are never held whole, and the layers of a network over them, strip by strip.

A strip is some rows of a map. Every layer is applied to a window: a strip with as many rows above and below as the
layer sees, where the image has them. So each strip comes out as it would from the whole map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from medfuse.networks.two_pass import TwoPassBlock

STRIP_ROWS = 64  # those of a tile of the kernels: then sums over strips are added in the order of the whole image


class RowMap(Protocol):
    """A map (1, C, H, W) whose rows are read and written some at a time.

    Attributes:
        channels: C.
        height: H.
        width: W.
    """

    channels: int
    height: int
    width: int

    def read(self, first: int, end: int) -> Tensor:
        """Return rows, (1, C, end - first, W)."""
        ...

    def write(self, first: int, rows: Tensor) -> None:
        """Put rows (1, C, n, W) where they belong."""
        ...

    def rest(self) -> None:
        """Take no memory until the next call: what is held may go to a file."""
        ...

    def close(self) -> None:
        """Forget the map."""
        ...


MakeMap = Callable[[int, int, int], RowMap]  # from channels, height and width


class Window(NamedTuple):
    """A strip with its neighbors.

    Attributes:
        first: row of the map where the strip begins.
        above: rows of the window that come before the strip.
        end: row of the window after the strip.
        values: (1, C, rows, W).
    """

    first: int
    above: int
    end: int
    values: Tensor


class HeldMap:
    """A map in memory: an image, or what a network draws."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.channels, self.height, self.width = values.shape[1:]

    def read(self, first: int, end: int) -> Tensor:
        """Return rows, (1, C, end - first, W)."""
        return self.values[:, :, first:end]

    def write(self, first: int, rows: Tensor) -> None:
        """Put rows (1, C, n, W) where they belong."""
        self.values[:, :, first : first + rows.shape[2]] = rows

    def rest(self) -> None:
        """Stay as it is."""

    def close(self) -> None:
        """Stay as it is."""


def windows(source: RowMap, seen: int) -> Iterator[Window]:
    """Go through a map strip by strip; what was passed may be written over in the meantime.

    Args:
        source: the map.
        seen: rows above and below each strip.
    """
    kept, read = source.read(0, 0), 0
    for first in range(0, source.height, STRIP_ROWS):
        last = min(first + STRIP_ROWS, source.height)
        wanted = min(last + seen, source.height)
        begin = max(first - seen, 0)
        kept = kept[:, :, kept.shape[2] - (read - begin) :]  # rows from begin to read, as they were
        kept, read = torch.cat([kept, source.read(read, wanted)], dim=2), wanted
        yield Window(first, first - begin, last - begin, kept)


def apply_layer(
    layer: Callable[..., Tensor], sources: Sequence[RowMap], target: RowMap, seen: int = 0, add: bool = False
) -> None:
    """Apply a layer to maps of equal height.

    Args:
        layer: from a window of each source to a map whose height is that of the windows times a fixed scale.
        sources: what it reads.
        target: what it writes; may be one of the sources if the scale is 1.
        seen: rows that it sees above and below; a multiple of the inverse of a scale below 1.
        add: add to what the target holds.
    """
    for group in zip(*(windows(source, seen) for source in sources), strict=True):
        one = group[0]
        made = layer(*(window.values for window in group))
        rows = one.values.shape[2]
        above, end, first = (row * made.shape[2] // rows for row in (one.above, one.end, one.first))
        strip = made[:, :, above:end]
        target.write(first, target.read(first, first + strip.shape[2]) + strip if add else strip)


def apply_block(block: TwoPassBlock, held: RowMap) -> None:
    """Put what a block makes of a map in the map's place, in two passes."""
    sums = None
    for window in windows(held, block.PRODUCTS_SEE):
        sums = block.no_products(window.values) if sums is None else sums
        block.add_products(window.values, (window.above, window.end), sums)
    if sums is None:
        return
    matrices = block.attention(sums)
    for window in windows(held, block.REFINING_SEES):
        held.write(window.first, block.refine(window.values, (window.above, window.end), matrices))
