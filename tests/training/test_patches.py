"""Patches: each a pure function of the seed and its number, both sources of one place, every collection alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from medfuse.io.slice_sets import read_split
from medfuse.training.patches import Patches, balanced_weights, patch_loader
from medfuse.training.slice_pairs import SlicePair, read_pairs


def pairs_of(*collections: str) -> list[SlicePair]:
    return [SlicePair(name, str(index), torch.zeros(2, 4, 4)) for index, name in enumerate(collections)]


@pytest.fixture
def pairs(slices: Path) -> list[SlicePair]:
    return read_pairs(read_split(slices, "train"), 48)


@pytest.fixture
def twins(pairs: list[SlicePair]) -> list[SlicePair]:
    """Return pairs whose sources are the same picture."""
    return [SlicePair(pair.collection, pair.case, pair.image[:1].repeat(2, 1, 1)) for pair in pairs]


def batches(patches: Patches, size: int, first: int, last: int, workers: int = 0) -> torch.Tensor:
    return torch.cat([batch["image"] for batch in patch_loader(patches, size, first, last, workers)])


def test_patches_repeat_with_their_seed(pairs: list[SlicePair]) -> None:
    seeds = [batches(Patches(pairs, 48, seed), 2, 0, 3) for seed in (0, 0, 1)]
    assert seeds[0].shape == (6, 2, 48, 48)
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.equal(seeds[0], seeds[2])


@pytest.mark.parametrize("workers", [0, 1])
def test_patches_do_not_depend_on_those_before_them(pairs: list[SlicePair], workers: int) -> None:
    whole = batches(Patches(pairs, 48, 0), 2, 0, 4)
    assert torch.equal(batches(Patches(pairs, 48, 0), 2, 3, 4, workers), whole[6:])
    assert not torch.equal(whole[:2], whole[2:4])


def test_patches_keep_both_sources_together(twins: list[SlicePair]) -> None:
    first, second = batches(Patches(twins, 48, 0), 4, 0, 2).unbind(1)  # of own brightness each, both of one place
    assert torch.equal(first > 0.0, second > 0.0)
    assert not torch.equal(first > 0.0, second.flip(-1) > 0.0)


def test_each_source_has_its_own_brightness_within_the_range(twins: list[SlicePair]) -> None:
    image = batches(Patches(twins, 48, 0), 16, 0, 1)
    assert float(image.min()) >= 0.0
    assert float(image.max()) <= 1.0
    assert any(not torch.equal(first, second) for first, second in image)


def test_collections_are_equally_likely() -> None:
    pairs = pairs_of("A", "B", "B", "B")
    likely: Counter[str] = Counter()
    for pair, weight in zip(pairs, balanced_weights(pairs), strict=True):
        likely[pair.collection] += weight
    assert likely["A"] == pytest.approx(likely["B"])
