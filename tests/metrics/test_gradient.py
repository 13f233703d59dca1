"""Laws of the edge transfer Q^AB/F."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from medfuse.metrics import edge_transfer, source_edge_transfer


@pytest.fixture
def pictures() -> list[Tensor]:
    noise = torch.rand(3, 2, 1, 20, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return list(torch.round(255.0 * noise))


def test_equal_sources_count_once(pictures: list[Tensor]) -> None:
    source, _, fused = pictures
    torch.testing.assert_close(edge_transfer(source, source, fused), source_edge_transfer(source, fused))


def test_order_of_the_sources_does_not_matter(pictures: list[Tensor]) -> None:
    first, second, fused = pictures
    torch.testing.assert_close(edge_transfer(first, second, fused), edge_transfer(second, first, fused))


def test_a_copy_keeps_all_edges(pictures: list[Tensor]) -> None:
    source, _, _ = pictures
    assert source_edge_transfer(source, source).tolist() == pytest.approx([0.975] * 2, abs=1e-3)


def test_value_lies_between_the_sources_own(pictures: list[Tensor]) -> None:
    first, second, _ = pictures
    mixed = edge_transfer(first, second, first)
    assert (mixed < source_edge_transfer(first, first)).all()
    assert (mixed > source_edge_transfer(second, first)).all()


def test_a_blank_source_does_not_count(pictures: list[Tensor]) -> None:
    first, _, fused = pictures
    blank = torch.zeros_like(first)
    torch.testing.assert_close(edge_transfer(first, blank, fused), source_edge_transfer(first, fused))


def test_no_edge_in_any_source_is_no_value(pictures: list[Tensor]) -> None:
    first, second, fused = pictures
    first[0], second[0] = 0.0, 0.0
    assert torch.isnan(edge_transfer(first, second, fused)).tolist() == [True, False]
    assert torch.isnan(source_edge_transfer(first, fused)).tolist() == [True, False]


def test_weaker_edges_are_kept_less(pictures: list[Tensor]) -> None:
    source, _, _ = pictures
    kept = [source_edge_transfer(source, strength * source) for strength in (0.9, 0.6, 0.3, 0.0)]
    for more, less in pairwise(kept):
        assert (more > less).all()


def test_float32_agrees_with_float64(pictures: list[Tensor]) -> None:
    single = edge_transfer(*(picture.float() for picture in pictures))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), edge_transfer(*pictures), atol=1e-5, rtol=0.0)


def test_a_copy_in_another_unit_keeps_as_much(pictures: list[Tensor]) -> None:
    """Equal edges count by their strength in gray levels, so the range has to be told."""
    source, _, _ = pictures
    scaled = source / 2550.0
    value = source_edge_transfer(source, source)
    torch.testing.assert_close(source_edge_transfer(scaled, scaled, data_range=0.1), value)
    assert (source_edge_transfer(scaled, scaled) < 0.5 * value).all()
