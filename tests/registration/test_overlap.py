"""Grids that meet, and grids that do not."""

from __future__ import annotations

import numpy as np
import pytest

from medfuse.errors import OverlapError
from medfuse.registration.overlap import check_overlap, inside_fraction

SHAPE = (20, 20, 20)


def at(x: float, spacing: float = 1.0) -> np.ndarray:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[0, 3] = x
    return affine


def test_a_grid_shares_all_of_itself() -> None:
    assert check_overlap(SHAPE, at(5), SHAPE, at(5)) == 1.0


def test_a_small_grid_inside_a_large_one_is_shared_wholly() -> None:
    large, small = (SHAPE, at(0, 10.0)), (SHAPE, at(80))
    assert check_overlap(*large, *small) == check_overlap(*small, *large) == 1.0


@pytest.mark.parametrize("offset", [5.0, 10.0, 15.0])
def test_the_shared_part_is_measured(offset: float) -> None:
    assert check_overlap(SHAPE, at(0), SHAPE, at(offset)) == pytest.approx(1 - offset / 20, abs=0.03)


@pytest.mark.parametrize("offset", [19.5, 500.0, -500.0])
def test_grids_that_hardly_meet_are_refused(offset: float) -> None:
    with pytest.raises(OverlapError, match=r"share [0-9.]+% of the smaller one's space; let medfuse register"):
        check_overlap(SHAPE, at(0), SHAPE, at(offset))


def test_a_transform_can_bring_them_together() -> None:
    assert check_overlap(SHAPE, at(0), SHAPE, at(500), at(500)) == 1.0


def test_points_count_as_inside_up_to_the_voxels_edge() -> None:
    points = np.array([[-0.49, 0, 0], [-0.51, 0, 0], [19.49, 19.49, 19.49], [19.51, 0, 0]])
    assert inside_fraction(points, SHAPE, at(0)) == 0.5
    assert inside_fraction(points[:0], SHAPE, at(0)) == 0.0
