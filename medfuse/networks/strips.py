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

TILE_ROWS = 64  # of the kernels. Strips are made of them: then sums are added in the order of the whole image.
STRIP_BYTES = 64 << 20
_ITEM_BYTES = 4


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

    def read(self, first: int, into: Tensor) -> None:
        """Copy the rows from a first one on into (n, W, C)."""
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
        values: (1, C, rows, W), channels last.
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

    def read(self, first: int, into: Tensor) -> None:
        """Copy the rows from a first one on into (n, W, C)."""
        into.copy_(self.values[0, :, first : first + into.shape[0]].permute(1, 2, 0))

    def write(self, first: int, rows: Tensor) -> None:
        """Put rows (1, C, n, W) where they belong."""
        self.values[:, :, first : first + rows.shape[2]] = rows

    def rest(self) -> None:
        """Stay as it is."""

    def close(self) -> None:
        """Stay as it is."""


def strip_rows(channels: int, width: int) -> int:
    """Return how many rows of a map make a strip of about ``STRIP_BYTES``: whole tiles, at least one."""
    return max(STRIP_BYTES // (channels * width * _ITEM_BYTES * TILE_ROWS), 1) * TILE_ROWS


def windows(source: RowMap, seen: int, rows_of_strip: int) -> Iterator[Window]:
    """Go through a map strip by strip; what was passed may be written over in the meantime.

    Args:
        source: the map.
        seen: rows above and below each strip.
        rows_of_strip: of ``strip_rows``.
    """
    held, read = torch.empty(0, source.width, source.channels), 0
    for first in range(0, source.height, rows_of_strip):
        last = min(first + rows_of_strip, source.height)
        wanted, begin = min(last + seen, source.height), max(first - seen, 0)
        rows = torch.empty(wanted - begin, source.width, source.channels)
        rows[: read - begin] = held[held.shape[0] - (read - begin) :]  # as they were
        source.read(read, rows[read - begin :])
        held, read = rows, wanted
        yield Window(first, first - begin, last - begin, _channels_first(rows))


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
    widest = max(*(each.channels for each in sources), target.channels)
    together = strip_rows(widest, sources[0].width)
    for group in zip(*(windows(source, seen, together) for source in sources), strict=True):
        one = group[0]
        made = layer(*(window.values for window in group))
        rows = one.values.shape[2]
        above, end, first = (row * made.shape[2] // rows for row in (one.above, one.end, one.first))
        strip = made[:, :, above:end]
        if add:
            before = torch.empty(end - above, target.width, target.channels)
            target.read(first, before)
            strip = strip + _channels_first(before)
        target.write(first, strip)


def apply_block(block: TwoPassBlock, held: RowMap) -> None:
    """Put what a block makes of a map in the map's place, in two passes."""
    sums, together = block.no_products(), strip_rows(held.channels, held.width)
    for window in windows(held, block.PRODUCTS_SEE, together):
        block.add_products(window.values, (window.above, window.end), sums)
    matrices = block.attention(sums)
    for window in windows(held, block.REFINING_SEES, together):
        held.write(window.first, block.refine(window.values, (window.above, window.end), matrices))


def joined(*maps: Tensor) -> Tensor:
    """Put maps (1, C, H, W), channels last, one after the other along their channels."""
    return torch.cat([each.permute(0, 2, 3, 1) for each in maps], dim=3).permute(0, 3, 1, 2)


def _channels_first(rows: Tensor) -> Tensor:
    """Show (n, W, C) as (1, C, n, W)."""
    return rows.permute(2, 0, 1)[None]
