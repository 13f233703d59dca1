"""Pairs of slices: read as they are split."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.slice_sets import read_split
from medfuse.training.slice_pairs import read_pairs


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
    with pytest.raises(InputError, match=r"0\.png has 64 x 64 pixels, .*0\.png 64 x 60"):
        read_pairs(read_split(slices, "train"), 48)


def test_a_missing_slice_is_named(slices: Path) -> None:
    (slices / "CT-MRI" / "b" / "0.png").unlink()
    with pytest.raises(UnreadableFileError, match=r"0\.png"):
        read_pairs(read_split(slices, "train"), 48)
