"""Cutting and joining are inverse; the plane is the patient's, not the array's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_volumes import OBLIQUE

from medfuse.errors import OptionError
from medfuse.inferers.slices import join_slices, slices_with_picture, spatial_dim_of, split_into_slices

SIZES = st.tuples(*[st.integers(1, 6)] * 4)


@given(SIZES, st.integers(0, 2))
def test_joining_undoes_cutting(shape: tuple[int, int, int, int], spatial_dim: int) -> None:
    volume = torch.arange(float(np.prod(shape))).reshape(shape)
    slices = split_into_slices(volume, spatial_dim)
    assert len(slices) == shape[spatial_dim + 1]
    joined = join_slices(slices, spatial_dim)
    assert torch.equal(joined, volume)
    assert join_slices(slices.contiguous(), spatial_dim).is_contiguous()


@pytest.mark.parametrize("spatial_dim", [0, 1, 2])
def test_a_slice_is_what_indexing_gives(spatial_dim: int) -> None:
    volume = torch.rand(2, 3, 4, 5)
    for number, one in enumerate(split_into_slices(volume, spatial_dim)):
        assert torch.equal(one, volume.select(spatial_dim + 1, number))


def test_only_slices_with_picture_are_marked() -> None:
    slices = torch.zeros(4, 2, 3, 3)
    slices[1, 0, 2, 2] = 1e-6
    slices[3, 1, 0, 0] = 1.0
    assert slices_with_picture(slices).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("spacing", "plane", "spatial_dim"),
    [
        ((1.0, 1.0, 5.0), "auto", 2),
        ((1.0, 5.0, 1.0), "auto", 1),
        ((5.0, 1.0, 1.0), "auto", 0),
        ((1.0, 1.0, 1.0), "auto", 2),
        ((1.0, 1.02, 1.0), "auto", 2),
        ((5.0, 1.0, 1.0), "axial", 2),
        ((5.0, 1.0, 1.0), "coronal", 1),
        ((1.0, 1.0, 5.0), "sagittal", 0),
    ],
)
def test_auto_takes_the_finest_pixels(spacing: tuple[float, float, float], plane: str, spatial_dim: int) -> None:
    assert spatial_dim_of(np.diag([*spacing, 1.0]), plane) == spatial_dim


def test_equal_spacings_mean_axial_wherever_that_axis_is_stored() -> None:
    stored_first = np.eye(4)[[1, 2, 0, 3]]  # the first array axis runs to the head
    assert spatial_dim_of(stored_first, "auto") == 0


def test_an_oblique_grid_has_planes_too() -> None:
    assert [spatial_dim_of(OBLIQUE, plane) for plane in ("auto", "axial", "coronal", "sagittal")] == [2, 2, 1, 0]


def test_an_unknown_plane_is_refused() -> None:
    with pytest.raises(OptionError):
        spatial_dim_of(np.eye(4), "oblique")
