"""Maps that take no more memory than they may."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from full_disk import file_size_limit

from medfuse.errors import OutputError
from medfuse.io.scratch_maps import ScratchMaps

ROW = 5 * 3 * 4  # bytes of a row of 5 pixels of 3 channels


def rows(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count).float()[None, None, :, None].expand(1, 3, count, 5)


@pytest.mark.parametrize("held", [0, 3, 100])
def test_rows_come_back_from_memory_and_from_the_file(tmp_path: Path, held: int) -> None:
    with ScratchMaps(held * ROW, tmp_path) as maps:
        made = maps(3, 10, 5)
        for first in (0, 4, 8):
            made.write(first, rows(first, min(4, 10 - first)))
        assert maps.free_bytes == max(held - 10, 0) * ROW
        assert torch.equal(made.read(2, 9), rows(2, 7))
        made.write(5, rows(50, 2))
        assert made.read(4, 8)[0, 0, :, 0].tolist() == [4, 50, 51, 7]
        assert made.read(0, 0).shape == (1, 3, 0, 5)
        assert list(tmp_path.iterdir()) == [], "the file has no name that could be left behind"
    assert maps.free_bytes == held * ROW


def test_a_map_at_rest_leaves_the_memory_to_others(tmp_path: Path) -> None:
    with ScratchMaps(4 * ROW, tmp_path) as maps:
        first, second = maps(3, 4, 5), maps(3, 4, 5)
        first.write(0, rows(0, 4))
        first.rest()
        assert maps.free_bytes == 4 * ROW
        second.write(0, rows(10, 4))
        assert maps.free_bytes == 0
        assert torch.equal(first.read(0, 4), rows(0, 4))
        first.write(1, rows(70, 1))
        second.close()
        first.write(2, rows(80, 1))  # now held, over what is in the file
        assert first.read(0, 4)[0, 0, :, 0].tolist() == [0, 70, 80, 3]


@pytest.mark.parametrize("limit", [2 * ROW, 2 * ROW + 7], ids=["between rows", "inside a row"])
def test_a_full_disk_is_one_clear_line(tmp_path: Path, limit: int) -> None:
    with ScratchMaps(0, tmp_path) as maps, file_size_limit(limit):
        made = maps(3, 4, 5)
        with pytest.raises(OutputError, match="too little space for the maps of so large an image; free some"):
            made.write(0, rows(0, 3))


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with ScratchMaps(0, tmp_path / "missing") as maps, pytest.raises(OutputError, match="missing: too little space"):
        maps(3, 4, 5).write(0, rows(0, 1))
