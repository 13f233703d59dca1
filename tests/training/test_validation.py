"""Validation: means by collection, of pairs that have something to keep."""

from __future__ import annotations

import pytest
import torch

from medfuse.networks.rules import average, maximum
from medfuse.training.slice_pairs import SlicePair
from medfuse.training.validation import score


@pytest.fixture
def pair() -> SlicePair:
    image = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(0))
    return SlicePair("CT-MRI", "case", image)


def test_scores_are_by_collection(pair: SlicePair) -> None:
    scores = score(average, [pair, SlicePair("PET-MRI", "case", pair.image)])
    assert set(scores) == {"CT-MRI", "PET-MRI"}
    assert scores["CT-MRI"] == scores["PET-MRI"]
    assert score(average, [pair]) != score(maximum, [pair])


def test_a_copy_of_one_source_scores_by_the_other(pair: SlicePair) -> None:
    copied = score(lambda image: image[:, :1], [pair])["CT-MRI"]
    assert copied["worst_source_vif"] < 0.05 < copied["edge_transfer"]


@pytest.mark.parametrize("blank", [0, 1])
def test_blank_pairs_do_not_count(pair: SlicePair, blank: int) -> None:
    image = pair.image.clone()
    image[blank] = 0.0
    alone = score(average, [pair])
    assert score(average, [pair, SlicePair("CT-MRI", "blank", image)]) == alone
    assert score(average, [SlicePair("CT-MRI", "blank", image)]) == {}


def test_a_drawing_that_is_not_finite_is_no_better_than_none(pair: SlicePair) -> None:
    assert score(lambda image: image[:, :1] * torch.nan, [pair]) == {}
