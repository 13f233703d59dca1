"""Pairs of slices: read as split, cut into patches that repeat with their seed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.slice_sets import read_split
from medfuse.training.slice_pairs import SlicePair, balanced_weights, patch_loader, read_pairs, spread


def pairs_of(*collections: str) -> list[SlicePair]:
    return [SlicePair(name, str(index), torch.zeros(2, 4, 4)) for index, name in enumerate(collections)]


def test_pairs_are_two_channels_from_0_to_1(slices: Path) -> None:
    pairs = read_pairs(read_split(slices, "train"), 64)
    assert [(pair.collection, pair.case) for pair in pairs] == [
        ("CT-MRI", "case0"),
        ("PET-MRI", "case1"),
        ("CT-MRI", "case2"),
        ("PET-MRI", "case3"),
    ]
    for pair in pairs:
        assert pair.image.shape == (2, 64, 64)
        assert pair.image.dtype == torch.float32
        assert pair.image.min() == 0.0
        assert 0.5 < pair.image.max() <= 1.0


def test_slices_of_other_size_are_refused(slices: Path) -> None:
    Image.new("L", (64, 60)).save(slices / "CT-MRI" / "b" / "0.png")
    with pytest.raises(InputError, match=r"0\.png and 0\.png of 'CT-MRI' differ in size"):
        read_pairs(read_split(slices, "train"), 48)


def test_a_missing_slice_is_named(slices: Path) -> None:
    (slices / "CT-MRI" / "b" / "0.png").unlink()
    with pytest.raises(UnreadableFileError, match=r"0\.png"):
        read_pairs(read_split(slices, "train"), 48)


def test_patches_repeat_with_their_seed(slices: Path) -> None:
    pairs = read_pairs(read_split(slices, "train"), 48)

    def patches(seed: int) -> torch.Tensor:
        return torch.cat([batch["image"].as_tensor() for batch in patch_loader(pairs, 48, 2, 3, seed)])

    assert patches(0).shape == (6, 2, 48, 48)
    assert torch.equal(patches(0), patches(0))
    assert not torch.equal(patches(0), patches(1))


def test_patches_keep_both_sources_together(slices: Path) -> None:
    pairs = [
        SlicePair(pair.collection, pair.case, pair.image[:1].repeat(2, 1, 1))
        for pair in read_pairs(read_split(slices, "train"), 48)
    ]
    for batch in patch_loader(pairs, 48, 4, 2, 0):  # each source has its own brightness, both the same place
        first, second = batch["image"].as_tensor().unbind(1)
        assert torch.equal(first > 0.0, second > 0.0)
        assert not torch.equal(first > 0.0, second.flip(-1) > 0.0)


def test_each_source_has_its_own_brightness_within_the_range(slices: Path) -> None:
    pairs = [
        SlicePair(pair.collection, pair.case, pair.image[:1].repeat(2, 1, 1))
        for pair in read_pairs(read_split(slices, "train"), 48)
    ]
    image = next(iter(patch_loader(pairs, 48, 16, 1, 0)))["image"].as_tensor()
    assert float(image.min()) >= 0.0
    assert float(image.max()) <= 1.0
    assert any(not torch.equal(first, second) for first, second in image)


def test_collections_are_equally_likely() -> None:
    pairs = pairs_of("A", "B", "B", "B")
    likely = Counter()
    for pair, weight in zip(pairs, balanced_weights(pairs), strict=True):
        likely[pair.collection] += weight
    assert likely["A"] == pytest.approx(likely["B"])


@pytest.mark.parametrize(
    ("number", "cases"),
    [
        (0, ["0", "1", "2", "3", "4", "5"]),
        (2, ["0", "3"]),
        (1, ["0", "3"]),
        (4, ["0", "2", "4"]),
        (100, ["0", "1", "2", "3", "4", "5"]),
    ],
)
def test_looks_are_spread_evenly(number: int, cases: list[str]) -> None:
    pairs = pairs_of("A", "B", "B", "B", "B", "B")
    assert [pair.case for pair in spread(pairs, number)] == cases
