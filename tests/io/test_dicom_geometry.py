"""From positions and directions to a regular grid: laws that hold without any file."""

from __future__ import annotations

from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.errors import GeometryError
from medfuse.geometry import apply_affine, directions
from medfuse.io.dicom_frames import Frame
from medfuse.io.dicom_geometry import axes_of, notes_of, plan_grid
from medfuse.io.dicom_resample import onto_grid


def frames(
    positions: np.ndarray, orientation: tuple[float, ...] = make.AXIAL, thickness: float = 0.0, pixel: float = 1.0
) -> list[Frame]:
    places = [tuple(float(value) for value in position) for position in positions]
    return [Frame(Path("x"), 0, place, tuple(orientation), (pixel, pixel), thickness, ()) for place in places]


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)),
    spacing=st.floats(0.3, 9),
    count=st.integers(4, 12),
    seed=st.integers(0, 99),
)
def test_a_regular_stack_keeps_every_voxel_in_its_place(angles, spacing, count, seed):
    a, b, c = angles
    first = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    second = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    third = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    axes = first @ second @ third
    orientation = (*axes[:, 0].tolist(), *axes[:, 1].tolist())
    positions = make.places(count, spacing, orientation)
    order = np.random.default_rng(seed).permutation(count)
    grid = plan_grid(frames(positions[order], orientation), 6, 7, "x")
    assert grid.shape == (7, 6, count)
    assert grid.even
    assert not grid.slid
    assert notes_of(grid) == []
    for k, index in enumerate(grid.order):
        found = apply_affine(grid.affine_ras, np.array([0.0, 0.0, k]))
        np.testing.assert_allclose(found, positions[order][index] * [-1, -1, 1], atol=1e-6)
    np.testing.assert_allclose(directions(grid.affine_ras)[:, 2], axes[:, 2] * [-1, -1, 1], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(slide=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), count=st.integers(4, 9), spacing=st.floats(1, 5))
def test_slid_slices_land_where_their_headers_say(slide, count, spacing):
    """A ramp over the image plane is linear, so moving it by linear interpolation is exact inside."""
    positions = make.places(count, spacing, slide=(*slide, 0.0))
    grid = plan_grid(frames(positions), 40, 40, "x")
    local = np.arange(40.0)
    stack = np.stack(
        [(p[0] + local)[:, None] * 3 + (p[1] + local)[None, :] * 5 for p in positions[list(grid.order)]], axis=2
    ).astype(np.float32)
    moved = onto_grid(stack, grid, np.nan)
    if not grid.slid:
        assert moved is stack
        return
    seen = np.argwhere(np.isfinite(moved))
    world = apply_affine(grid.affine_ras, seen.astype(float)) * [-1, -1, 1]
    truth = world[:, 0] * 3 + world[:, 1] * 5
    edge = 8.0 * 0.51  # half a pixel at the border is held, not continued
    assert (np.abs(moved[tuple(seen.T)] - truth) <= edge).all()
    inside = (np.abs(moved[tuple(seen.T)] - truth) <= 1e-2).mean()
    assert inside > 0.9
    axes = directions(grid.affine_ras)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)


def test_rounding_of_positions_is_no_irregularity():
    positions = np.round(make.places(40, 3.27, make.turned(make.AXIAL, 7)), 2)
    grid = plan_grid(frames(positions, make.turned(make.AXIAL, 7)), 8, 8, "x")
    assert grid.even
    assert not grid.slid


def test_uneven_slices_are_interpolated_and_counted():
    at = np.array([0, 1, 2.3, 3, 4, 5.0])
    grid = plan_grid(frames(at[:, None] * [0, 0, 2.0]), 6, 6, "x")
    stack = np.broadcast_to((10 * at).astype(np.float32), (6, 6, 6))
    filled = onto_grid(np.ascontiguousarray(stack), grid, 0.0)
    np.testing.assert_allclose(filled[0, 0], 10 * np.arange(grid.shape[2]) * grid.affine_ras[2, 2] / 2.0, atol=1e-4)
    assert "unevenly" in notes_of(grid)[0]


def test_a_regular_stack_is_handed_through_untouched():
    grid = plan_grid(frames(make.places(5)), 6, 7, "x")
    stack = np.zeros((7, 6, 5), dtype=np.float32)
    assert onto_grid(stack, grid, 0.0) is stack


def test_gaps_that_thick_slices_cover_are_none():
    at = np.array([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5])
    covered = plan_grid(frames(at[:, None] * [0, 0, 1.0], thickness=5.0), 6, 6, "x")
    assert covered.missing == 0
    with pytest.raises(GeometryError, match="3 slices are missing"):
        plan_grid(frames(at[:, None] * [0, 0, 1.0], thickness=2.5), 6, 6, "x")


@pytest.mark.parametrize("orientation", [(0,) * 6, (1, 0, 0, 1, 0, 0), (2, 0, 0, 0, 1, 0), (np.nan,) * 6])
def test_directions_that_are_none_are_refused(orientation):
    with pytest.raises(GeometryError, match="ImageOrientationPatient"):
        axes_of(orientation, "x")


@pytest.mark.parametrize(
    "positions",
    [
        np.zeros((5, 3)),
        np.array([[k * 100.0, 0, k] for k in range(6)]),
        np.array([[0, 0, k * 1e5] for k in range(6)]),
        np.array([[0, 0, k * 1e-7] for k in range(6)]),
        np.array([[0, 0, 1e7 + k] for k in range(6)]),
    ],
)
def test_positions_that_form_no_stack_are_refused(positions):
    with pytest.raises(GeometryError):
        plan_grid(frames(positions), 6, 6, "x")
