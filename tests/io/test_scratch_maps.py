"""Maps that take no more memory than they may."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from full_disk import file_size_limit
from torch import Tensor

from medfuse.errors import OutputError
from medfuse.io.scratch_maps import BLOCK_ROWS, ScratchMap, ScratchMaps

ROW = 5 * 3 * 4  # bytes of a row of 5 pixels of 3 channels
BLOCK = BLOCK_ROWS * ROW
HEIGHT = 2 * BLOCK_ROWS + 3


def rows(first: int, count: int) -> Tensor:
    return torch.arange(first, first + count).float()[None, None, :, None].expand(1, 3, count, 5)


def read(made: ScratchMap, first: int, end: int) -> list[float]:
    """Return one number of each row, all of whose numbers are the same."""
    into = torch.full((end - first, 5, 3), torch.nan)
    made.read(first, into)
    assert (into == into[:, :1, :1]).all()
    return into[:, 0, 0].tolist()


@pytest.mark.parametrize("held", [0, 1, 100])
def test_rows_come_back_from_memory_and_from_the_file(tmp_path: Path, held: int) -> None:
    with ScratchMaps(held * BLOCK, tmp_path) as maps:
        made = maps(3, HEIGHT, 5)
        for first in range(0, HEIGHT, 7):
            made.write(first, rows(first, min(7, HEIGHT - first)))
        assert maps.free_bytes == max(held - 3, 0) * BLOCK
        assert read(made, 2, HEIGHT) == list(range(2, HEIGHT))
        made.write(BLOCK_ROWS - 1, rows(500, 2))
        expected = [BLOCK_ROWS - 2, 500, 501, BLOCK_ROWS + 1]
        assert read(made, BLOCK_ROWS - 2, BLOCK_ROWS + 2) == expected
        assert read(made, 0, 0) == []
        assert list(tmp_path.iterdir()) == [], "the file has no name that could be left behind"
    assert maps.free_bytes == held * BLOCK


def test_a_map_at_rest_leaves_the_memory_to_others(tmp_path: Path) -> None:
    with ScratchMaps(3 * BLOCK, tmp_path) as maps:
        first, second = maps(3, HEIGHT, 5), maps(3, HEIGHT, 5)
        first.write(0, rows(0, HEIGHT))
        first.rest()
        assert maps.free_bytes == 3 * BLOCK
        second.write(0, rows(10, HEIGHT))
        assert maps.free_bytes == 0
        assert read(first, 0, HEIGHT) == list(range(HEIGHT))
        first.write(1, rows(70, 1))
        second.close()
        first.write(2, rows(80, 1))  # the rest of its block is in the file
        assert read(first, 0, 4) == [0, 70, 80, 3]
        first.write(0, rows(90, BLOCK_ROWS))  # now held, over what is in the file
        assert maps.free_bytes == 2 * BLOCK
        assert read(first, 0, HEIGHT) == [*range(90, 90 + BLOCK_ROWS), *range(BLOCK_ROWS, HEIGHT)]


@pytest.mark.parametrize("limit", [2 * ROW, 2 * ROW + 7], ids=["between rows", "inside a row"])
def test_a_full_disk_is_one_clear_line(tmp_path: Path, limit: int) -> None:
    with ScratchMaps(0, tmp_path) as maps, file_size_limit(limit):
        made = maps(3, 4, 5)
        with pytest.raises(OutputError, match="too little space for the maps of so large an image; free some"):
            made.write(0, rows(0, 3))


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with ScratchMaps(0, tmp_path / "missing") as maps, pytest.raises(OutputError, match="missing: too little space"):
        maps(3, 4, 5).write(0, rows(0, 1))
