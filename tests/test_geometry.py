from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse import geometry
from medfuse.errors import GeometryError, OptionError

SHAPE = (5, 6, 7)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    cx, cy, cz = np.cos((x, y, z))
    sx, sy, sz = np.sin((x, y, z))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_of(angles=(0.0, 0.0, 0.0), spacing=(1.0, 2.0, 3.0), origin=(10.0, -20.0, 30.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


angle = st.floats(-3.0, 3.0)
angles = st.tuples(angle, angle, angle)
lengths = st.floats(0.1, 10.0)
spacings = st.tuples(lengths, lengths, lengths)


@settings(deadline=None, max_examples=30)
@given(angles=angles, spacing=spacings)
def test_spacing_and_directions_take_the_affine_apart(angles, spacing):
    affine = affine_of(angles, spacing)
    np.testing.assert_allclose(geometry.spacing_mm(affine), spacing, rtol=1e-12)
    np.testing.assert_allclose(geometry.directions(affine), rotation(*angles), atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(angles=angles, spacing=spacings)
def test_ras_and_lps_are_each_others_inverse(angles, spacing):
    affine = affine_of(angles, spacing)
    np.testing.assert_array_equal(geometry.lps_to_ras(geometry.ras_to_lps(affine)), affine)
    twice = geometry.world_transform_to_lps(geometry.world_transform_to_lps(affine))
    np.testing.assert_array_equal(twice, affine)


def test_lps_counts_to_the_left_and_back():
    lps = geometry.ras_to_lps(affine_of())
    np.testing.assert_array_equal(lps[:3, 3], (-10.0, 20.0, 30.0))
    np.testing.assert_array_equal(np.diag(lps), (-1.0, -2.0, 3.0, 1.0))


def test_a_world_transform_in_lps_moves_the_same_points():
    transform = affine_of((0.1, 0.2, 0.3), (1, 1, 1))
    point = np.array([3.0, 4.0, 5.0])
    flip = np.array([-1.0, -1.0, 1.0])
    moved = geometry.apply_affine(transform, point)
    moved_lps = geometry.apply_affine(geometry.world_transform_to_lps(transform), point * flip)
    np.testing.assert_allclose(moved_lps * flip, moved, atol=1e-12)


def test_apply_affine_keeps_leading_axes_and_follows_composition():
    first, second = affine_of((0.1, 0.2, 0.3)), affine_of((-0.3, 0.1, 0.0))
    points = np.arange(24.0).reshape(2, 4, 3)
    both = geometry.apply_affine(second, geometry.apply_affine(first, points))
    assert both.shape == points.shape
    np.testing.assert_allclose(geometry.apply_affine(second @ first, points), both, atol=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_a_grid_ends_half_a_voxel_beyond_its_outermost_centers(axis):
    shape = (4, 5, 6)
    indices = np.tile(np.array(shape) // 2.0, (4, 1))
    indices[:, axis] = -0.51, -0.5, shape[axis] - 0.5, shape[axis] - 0.49
    assert geometry.inside_grid(indices, shape).tolist() == [False, True, True, False]


def test_corners_and_center_are_voxel_centers():
    affine = affine_of()
    corners = geometry.corners_mm(affine, SHAPE)
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners.min(axis=0), (10, -20, 30))
    np.testing.assert_allclose(corners.max(axis=0), (14, -10, 48))
    np.testing.assert_allclose(geometry.center_mm(affine, SHAPE), corners.mean(axis=0))


def test_same_grid():
    affine = affine_of()
    near, far = affine.copy(), affine.copy()
    near[0, 3] += 5e-4
    far[0, 3] += 5e-3
    assert geometry.same_grid(affine, SHAPE, near, SHAPE)
    assert not geometry.same_grid(affine, SHAPE, far, SHAPE)
    assert not geometry.same_grid(affine, SHAPE, affine, (5, 6, 8))


def test_a_mirrored_grid_is_not_the_same_grid():
    affine = affine_of()
    mirrored = affine @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert not geometry.same_grid(affine, SHAPE, mirrored, SHAPE)


@settings(deadline=None, max_examples=30)
@given(
    order=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    tilt=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
    spacing=spacings,
)
def test_anatomical_dim_on_permuted_flipped_oblique_grids(order, signs, tilt, spacing):
    axes = rotation(*tilt)[:, order] * np.asarray(signs) * np.asarray(spacing)
    affine = np.eye(4)
    affine[:3, :3] = axes
    found = [geometry.anatomical_dim(affine, plane) for plane in ("sagittal", "coronal", "axial")]
    assert found == [order.index(axis) for axis in range(3)]


@settings(deadline=None, max_examples=50)
@given(angles=angles)
def test_each_axis_answers_to_one_plane_however_oblique(angles):
    affine = affine_of(angles)
    found = [geometry.anatomical_dim(affine, plane) for plane in geometry.ANATOMICAL_AXES]
    assert sorted(found) == [0, 1, 2]


def test_anatomical_dim_refuses_an_unknown_plane():
    with pytest.raises(OptionError, match="axial"):
        geometry.anatomical_dim(affine_of(), "auto")


@settings(deadline=None, max_examples=30)
@given(angles=angles, spacing=spacings)
def test_check_affine_accepts_every_plausible_grid(angles, spacing):
    geometry.check_affine(affine_of(angles, spacing), "scan", (64, 64, 20))


def _with(row: int, column: int, value: float) -> np.ndarray:
    affine = affine_of()
    affine[row, column] = value
    return affine


REFUSED = {
    "3 x 4": (affine_of()[:3], "4 x 4"),
    "nan": (_with(0, 0, np.nan), "finite"),
    "infinite origin": (_with(1, 3, np.inf), "finite"),
    "projective": (_with(3, 0, 0.5), "0 0 0 1"),
    "zero axis": (_with(0, 0, 0.0), "spacing"),
    "kilometre": (_with(0, 0, 1e6), "spacing"),
    "parallel": (np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "one plane"),
    "coplanar": (np.array([[1.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]), "one plane"),
    "far": (_with(2, 3, 1e6), "origin"),
}


@pytest.mark.parametrize(("affine", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_check_affine_refuses(affine, reason):
    with pytest.raises(GeometryError, match=reason) as caught:
        geometry.check_affine(affine, "scan.nii")
    message = str(caught.value)
    assert message.startswith("scan.nii: ")
    assert "\n" not in message


@pytest.mark.parametrize("spacing", [(0.001, 0.001, 0.002), (100.0, 100.0, 100.0)])
def test_check_affine_refuses_a_volume_of_impossible_size(spacing):
    affine = affine_of(spacing=spacing)
    geometry.check_affine(affine, "scan")
    with pytest.raises(GeometryError, match="mm large"):
        geometry.check_affine(affine, "scan", (100, 100, 100))
