"""The list of slice pairs: read as written, kept inside its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.slice_sets import SlicePaths, pair_by_name, read_split, split_hash, spread

ENTRY = {"set": "CT-MRI", "case": "7", "a": "MRI/1.png", "b": "CT/1.png"}


def listed(folder: Path, content: object) -> Path:
    (folder / "splits.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_pairs_are_read(tmp_path: Path) -> None:
    (pair,) = read_split(listed(tmp_path, {"train": [ENTRY], "validation": []}), "train")
    assert (pair.collection, pair.case) == ("CT-MRI", "7")
    assert (pair.first, pair.second) == (tmp_path / "MRI" / "1.png", tmp_path / "CT" / "1.png")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[" * 100_000,
        [],
        {},
        {"validation": [ENTRY]},
        {"train": []},
        {"train": 3},
        {"train": [3]},
        {"train": [{"a": "1.png"}]},
        {"train": [{**ENTRY, "a": None}]},
        {"train": [{**ENTRY, "a": "../1.png"}]},
        {"train": [{**ENTRY, "b": "CT/../../1.png"}]},
        {"train": [{**ENTRY, "b": "/etc/passwd"}]},
    ],
)
def test_odd_lists_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(UnreadableFileError, match=r"splits\.json: lists no 'train' pairs"):
        read_split(listed(tmp_path, content), "train")


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"splits\.json does not exist"):
        read_split(tmp_path, "train")


def test_hash_tells_names_and_bytes_but_not_the_folder(tmp_path: Path) -> None:
    def digest(folder: str, name: str, content: bytes) -> str:
        root = tmp_path / folder
        entry = {**ENTRY, "a": name, "b": name}
        root.mkdir()
        (root / name).write_bytes(content)
        return split_hash(read_split(listed(root, {"train": [entry]}), "train"), root)

    first = digest("1", "a.png", b"1")
    assert first == digest("2", "a.png", b"1")
    assert first != digest("3", "b.png", b"1")
    assert first != digest("4", "a.png", b"2")


def folders(tmp_path: Path, first: list[str], second: list[str]) -> tuple[Path, Path]:
    for folder, names in (("a", first), ("b", second)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    return tmp_path / "a", tmp_path / "b"


def test_files_of_equal_names_are_pairs(tmp_path: Path) -> None:
    first, second = folders(tmp_path, ["2.png", "1.PNG", "3.png", "x.txt"], ["1.PNG", "2.png", "4.png", "x.txt"])
    pairs, alone = pair_by_name(first, second, (".png",))
    assert [(pair.first, pair.second) for pair in pairs] == [(first / n, second / n) for n in ("1.PNG", "2.png")]
    assert alone == ["3.png", "4.png"]


def test_folders_without_pairs_are_refused(tmp_path: Path) -> None:
    first, second = folders(tmp_path, ["1.png"], ["2.png"])
    with pytest.raises(InputError, match=r"have no \.png of equal names"):
        pair_by_name(first, second, (".png",))
    with pytest.raises(InputError, match="is not a folder"):
        pair_by_name(first, tmp_path / "c", (".png",))


def test_few_pairs_are_spread_over_every_collection() -> None:
    pairs = [SlicePaths(name, str(index), Path(), Path()) for name in ("PET", "CT") for index in range(9)]
    few = spread(pairs, 6)
    assert [(pair.collection, pair.case) for pair in few] == [(c, n) for c in ("CT", "PET") for n in ("1", "4", "7")]
    assert spread(pairs, 0) == pairs
    assert len(spread(pairs, 1)) == 2
    assert len(spread(pairs, 1000)) == 18
