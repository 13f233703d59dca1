"""Maps of a network that take no more memory than they may: what is over lies in a file without a name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from medfuse.errors import OutputError

BLOCK_ROWS = 16
_ITEM_BYTES = 4
_MEMORY_BYTES = 1 << 30


class ScratchMaps:
    """Makes maps, and shares out the memory among them.

    Args:
        memory_bytes: what all maps together may hold in memory.
        folder: where the file is that takes the rest; the system's folder for temporary files by default. It has no
            name there, and is gone when the process ends.
    """

    def __init__(self, memory_bytes: int = _MEMORY_BYTES, folder: Path | None = None) -> None:
        self.free_bytes = memory_bytes
        self.folder = folder
        self._open: list[ScratchMap] = []

    def __enter__(self) -> ScratchMaps:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is still open."""
        for each in list(self._open):
            each.close()

    def __call__(self, channels: int, height: int, width: int) -> ScratchMap:
        """Make a map (1, channels, height, width) of float32, whose values are not set."""
        made = ScratchMap(self, channels, height, width)
        self._open.append(made)
        return made

    def forget(self, closed: ScratchMap) -> None:
        """Take a map off the list of those to be closed."""
        if closed in self._open:
            self._open.remove(closed)


class _Piece(NamedTuple):
    """Rows of one block: which of the block, and which of those that are read or written."""

    block: int
    inside: slice
    outside: slice


class ScratchMap:
    """A map of float32, (1, C, H, W), channels last, in blocks of rows, each in memory or in a file.

    Attributes:
        channels: C.
        height: H.
        width: W.
    """

    def __init__(self, maps: ScratchMaps, channels: int, height: int, width: int) -> None:
        self.channels, self.height, self.width = channels, height, width
        self._maps = maps
        self._row_bytes = width * channels * _ITEM_BYTES
        self._held: dict[int, Tensor] = {}  # by block: (BLOCK_ROWS, W, C)
        self._filed: set[int] = set()  # blocks of which something is in the file
        self._file: IO[bytes] | None = None

    def read(self, first: int, into: Tensor) -> None:
        """Copy the rows from a first one on into (n, W, C).

        Raises:
            OutputError: if the file cannot be read back.
        """
        for piece in _pieces(first, into.shape[0]):
            held = self._held.get(piece.block)
            if held is None:
                self._read_file(piece, into[piece.outside])
            else:
                into[piece.outside] = held[piece.inside]

    def write(self, first: int, rows: Tensor) -> None:
        """Put rows (1, C, n, W) where they belong.

        Raises:
            OutputError: if the file cannot take them.
        """
        values = rows[0].permute(1, 2, 0)  # (n, W, C)
        for piece in _pieces(first, values.shape[0]):
            held = self._place(piece)
            if held is None:
                self._write_file(piece.block * BLOCK_ROWS + piece.inside.start, values[piece.outside].contiguous())
                self._filed.add(piece.block)
            else:
                held[piece.inside] = values[piece.outside]

    def rest(self) -> None:
        """Put all rows into the file, and leave the memory to others."""
        for block in sorted(self._held):
            self._write_file(block * BLOCK_ROWS, self._held.pop(block))
            self._filed.add(block)
            self._maps.free_bytes += BLOCK_ROWS * self._row_bytes

    def close(self) -> None:
        """Forget the map."""
        self._maps.free_bytes += len(self._held) * BLOCK_ROWS * self._row_bytes
        self._held.clear()
        self._filed.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._maps.forget(self)

    def _place(self, piece: _Piece) -> Tensor | None:
        """Return the block in memory that a piece shall go to; None for the file."""
        whole = piece.inside == slice(0, BLOCK_ROWS)
        needed = BLOCK_ROWS * self._row_bytes
        if piece.block in self._held:
            return self._held[piece.block]
        if self._maps.free_bytes < needed or (piece.block in self._filed and not whole):
            return None
        self._maps.free_bytes -= needed
        self._filed.discard(piece.block)
        self._held[piece.block] = torch.empty(BLOCK_ROWS, self.width, self.channels)
        return self._held[piece.block]

    def _read_file(self, piece: _Piece, into: Tensor) -> None:
        place, size = (piece.block * BLOCK_ROWS + piece.inside.start) * self._row_bytes, into.numel() * _ITEM_BYTES
        if self._file is None or os.preadv(self._file.fileno(), [_bytes_of(into)], place) < size:
            raise _failed(self._maps.folder)

    def _write_file(self, row: int, values: Tensor) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._maps.folder)  # noqa: SIM115
            written = os.pwrite(self._file.fileno(), _bytes_of(values), row * self._row_bytes)
        except OSError as error:
            raise _failed(self._maps.folder) from error
        if written < values.numel() * _ITEM_BYTES:
            raise _failed(self._maps.folder)


def _pieces(first: int, count: int) -> Iterator[_Piece]:
    """Cut rows where blocks end."""
    row = first
    while row < first + count:
        block, begin = divmod(row, BLOCK_ROWS)
        end = min(BLOCK_ROWS, begin + first + count - row)
        yield _Piece(block, slice(begin, end), slice(row - first, row - first + end - begin))
        row += end - begin


def _bytes_of(values: Tensor) -> memoryview:
    array: Any = values.numpy()
    return memoryview(array).cast("B")


def _failed(folder: Path | None) -> OutputError:
    where = folder if folder is not None else Path(tempfile.gettempdir())
    return OutputError(f"{where}: too little space for the maps of so large an image; free some, or set TMPDIR")
