"""Landmarks from CSV: what is understood, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.landmark_files import read_landmarks

HEADER = "name,fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z"
ROWS = ("nasion,0,90.5,-10,1,2,3", "left ear,-70,0,-20,4,5,6", "right ear,7e1,0,-20,7,8,9")


def written(folder: Path, *lines: str, ending: str = "\n") -> Path:
    path = folder / "points.csv"
    path.write_bytes((ending.join(lines) + ending).encode())
    return path


def refusal(path: Path, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        read_landmarks(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_points_and_their_lines(tmp_path: Path) -> None:
    found = read_landmarks(written(tmp_path, HEADER, *ROWS))
    np.testing.assert_array_equal(found.fixed_mm, [[0, 90.5, -10], [-70, 0, -20], [70, 0, -20]])
    np.testing.assert_array_equal(found.moving_mm, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert found.lines == (2, 3, 4)


def test_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """A byte order mark, capitals, another order of columns, further columns, quotes, empty lines, CRLF."""
    header = "\ufeffMoving_X,moving_y,moving_z,Name , fixed_x,fixed_y,fixed_z,remark"
    rows = ['1,2,3,"nasion, upper",0,90.5,-10,', "", "4,5,6,left ear,-70,0,-20,dim", "7,8,9,right ear,70,0,-20,x"]
    found = read_landmarks(written(tmp_path, header, *rows, ending="\r\n"))
    np.testing.assert_array_equal(found.fixed_mm, [[0, 90.5, -10], [-70, 0, -20], [70, 0, -20]])
    np.testing.assert_array_equal(found.moving_mm, [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert found.lines == (2, 4, 5)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((HEADER.replace("name", "label"), *ROWS), "no single column name; its first line is name,fixed_x"),
        ((HEADER.replace(",", ";"), *(row.replace(",", ";") for row in ROWS)), "no single column name"),
        ((HEADER + ",fixed_x", *ROWS), "no single column fixed_x"),
        (ROWS, "no single column name"),
    ],
    ids=["other name", "semicolons", "doubled", "no header"],
)
def test_a_header_that_is_not_understood(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    assert words in refusal(written(tmp_path, *lines), UnreadableFileError)


@pytest.mark.parametrize("value", ["", "left", "nan", "inf", "1e9", "1.000,5"])
def test_a_coordinate_that_is_no_position_is_named(tmp_path: Path, value: str) -> None:
    last = f'chin,0,"{value}",0,0,0,0'
    assert "line 5: fixed_y is not a position in mm" in refusal(written(tmp_path, HEADER, *ROWS, last), InputError)


def test_a_row_that_ends_early_is_named(tmp_path: Path) -> None:
    assert "line 5: moving_z" in refusal(written(tmp_path, HEADER, *ROWS, "chin,0,0,0,0,0"), InputError)


def test_too_few_and_doubled_points(tmp_path: Path) -> None:
    assert "holds 2 landmarks; give at least 3" in refusal(written(tmp_path, HEADER, *ROWS[:2]), InputError)
    message = refusal(written(tmp_path, HEADER, *ROWS, ROWS[0]), InputError)
    assert "lines 2 and 5" in message
    assert "nasion" not in message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'"', b"a\0b,c", b"\n\n\n"])
def test_garbage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(content)
    refusal(path, UnreadableFileError)


def test_missing_and_large_files(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.csv", UnreadableFileError)
    assert "large" in refusal(written(tmp_path, HEADER, "x" * 2**20), UnreadableFileError)
