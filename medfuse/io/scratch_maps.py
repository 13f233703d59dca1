"""Maps of a network that take no more memory than they may: what is over lies in a file without a name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch
from torch import Tensor

from medfuse.errors import OutputError

_ITEM_BYTES = 4
_MEMORY_BYTES = 1536 << 20


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


class ScratchMap:
    """A map of float32, (1, C, H, W), channels last, row by row in memory or in a file.

    Attributes:
        channels: C.
        height: H.
        width: W.
    """

    def __init__(self, maps: ScratchMaps, channels: int, height: int, width: int) -> None:
        self.channels, self.height, self.width = channels, height, width
        self._maps = maps
        self._row_bytes = width * channels * _ITEM_BYTES
        self._held: dict[int, Tensor] = {}  # by row: (W, C)
        self._file: IO[bytes] | None = None

    def read(self, first: int, end: int) -> Tensor:
        """Return rows, (1, C, end - first, W).

        Raises:
            OutputError: if the file cannot be read back.
        """
        rows = torch.empty(end - first, self.width, self.channels)
        for row, values in enumerate(rows, first):
            if row in self._held:
                values.copy_(self._held[row])
            else:
                self._read_file(row, values)
        return rows.permute(2, 0, 1)[None]

    def write(self, first: int, rows: Tensor) -> None:
        """Put rows (1, C, n, W) where they belong.

        Raises:
            OutputError: if the file cannot take them.
        """
        for row, values in enumerate(rows[0].permute(1, 2, 0), first):  # each (W, C)
            if not self._hold(row, values):
                self._write_file(row, values.contiguous())

    def rest(self) -> None:
        """Put all rows into the file, and leave the memory to others."""
        for row in sorted(self._held):
            self._write_file(row, self._held.pop(row))
            self._maps.free_bytes += self._row_bytes

    def close(self) -> None:
        """Forget the map."""
        self._maps.free_bytes += len(self._held) * self._row_bytes
        self._held.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._maps.forget(self)

    def _hold(self, row: int, values: Tensor) -> bool:
        """Keep a row in memory if there is place."""
        if row in self._held:
            self._held[row].copy_(values)
            return True
        if self._maps.free_bytes < self._row_bytes:
            return False
        self._maps.free_bytes -= self._row_bytes
        self._held[row] = values.contiguous().clone()
        return True

    def _read_file(self, row: int, into: Tensor) -> None:
        place = row * self._row_bytes
        if self._file is None or os.preadv(self._file.fileno(), [_bytes_of(into)], place) < self._row_bytes:
            raise _failed(self._maps.folder)

    def _write_file(self, row: int, values: Tensor) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._maps.folder)  # noqa: SIM115
            written = os.pwrite(self._file.fileno(), _bytes_of(values), row * self._row_bytes)
        except OSError as error:
            raise _failed(self._maps.folder) from error
        if written < self._row_bytes:
            raise _failed(self._maps.folder)


def _bytes_of(values: Tensor) -> memoryview:
    array: Any = values.numpy()
    return memoryview(array).cast("B")


def _failed(folder: Path | None) -> OutputError:
    where = folder if folder is not None else Path(tempfile.gettempdir())
    return OutputError(f"{where}: too little space for the maps of so large an image; free some, or set TMPDIR")
