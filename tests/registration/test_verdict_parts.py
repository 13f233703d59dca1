"""The parts of the verdict: tables of values, smooth displacements, mirror images, the middle of the brain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from medfuse.geometry import Matrix
from medfuse.registration.correspondence import Correspondence, correspond, value_and_slope
from medfuse.registration.images import to_image
from medfuse.registration.information import interpolate
from medfuse.registration.inner_brain import inner_points, likeness
from medfuse.registration.mirror import symmetry_plane
from medfuse.registration.plausibility import weigh_matrix
from medfuse.registration.presets import load_preset
from medfuse.registration.scans import prepare
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.warp_fit import fit_warp
from medfuse.registration.warps import KINDS, Warp, closest, mean_length, terms, without

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = (-78.0, -78.0, -70.0)
RANDOM = np.random.default_rng(4)
POINTS = RANDOM.uniform(-60.0, 60.0, (3000, 3))
STILL = Warp("rigid", np.zeros(3), 60.0, np.zeros(6))


def texture(shape: tuple[int, int, int] = (40, 40, 36)) -> np.ndarray:
    """Return smooth random values, 0 .. 1."""
    values = gaussian_filter(np.random.default_rng(2).standard_normal(shape), 2.5)
    return np.asarray((values - values.min()) / np.ptp(values), dtype=np.float32)


def moved(shift: Matrix) -> Correspondence:
    """Compare a texture with its own negative after a transform."""
    ours = to_image(torch.from_numpy(texture()), AFFINE)
    theirs = to_image(torch.from_numpy(1.0 - texture() ** 2), shift @ AFFINE)
    seen = correspond(ours, theirs, POINTS, np.eye(4), 16, 3000, 1.0)
    assert seen is not None
    return seen


def test_the_slope_is_the_derivative_of_the_value() -> None:
    volume, index = texture(), RANDOM.uniform(1.0, 34.0, (200, 3))
    value, slope = value_and_slope(volume, index)
    np.testing.assert_allclose(value, interpolate(volume, index), atol=1e-6)
    for axis in np.eye(3):
        step = 1e-3 * axis
        within = (np.floor(index) == np.floor(index + step)).all(axis=1)
        rise = (value_and_slope(volume, index + step)[0] - value) / 1e-3
        np.testing.assert_allclose(rise[within], (slope @ axis)[within], atol=1e-3)


def test_information_is_highest_where_the_scans_agree() -> None:
    seen = moved(np.eye(4))
    here, there = seen.table()[1], seen.table(np.array([12.0, 0.0, 0.0]))[1]
    assert seen.seen_share == 1.0
    assert here > 3.0 * there


def test_the_derivative_of_a_score_is_its_slope() -> None:
    seen = moved(np.eye(4))
    table, _ = seen.table()
    shift = np.array([3.0, -2.0, 1.0])
    _, slopes = seen.score(table, shift)
    higher, lower = (seen.score(table, shift + np.array([step, 0.0, 0.0]))[0] for step in (0.01, -0.01))
    assert slopes[:, 0].sum() == pytest.approx((higher - lower) / 0.02, rel=0.05)


def test_scans_that_do_not_meet_have_no_correspondence() -> None:
    away = np.eye(4)
    away[0, 3] = 900.0
    image = to_image(torch.from_numpy(texture()), AFFINE)
    assert correspond(image, image, POINTS, away, 16, 3000, 1.0) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_displacement_is_recovered(kind: str) -> None:
    seen = moved(np.eye(4))
    planted = {
        "rigid": Warp("rigid", np.zeros(3), 60.0, np.array([2.0, -1.5, 1.0, 1.5, -1.0, 2.0])),
        "similar": Warp("similar", np.zeros(3), 60.0, np.array([1.0, 2.0, -1.0, 1.0, 1.0, 0.0, 3.0])),
        "affine": Warp("affine", np.zeros(3), 60.0, np.array([1.0, 0, 0, 2.0, 0, 1, 0, -3, 0, 1, 0, 2.0])),
        "quadratic": Warp("quadratic", np.zeros(3), 60.0, np.repeat([0.0, 2.0, 0.0, -2.0, 0.0], [12, 1, 3, 1, 13])),
    }[kind]
    fitted = fit_warp(bent(seen, planted), STILL, kind, rounds=6, steps=40)
    left = fitted.warp.at(seen.points_mm) + planted.at(seen.points_mm)
    assert mean_length(planted.at(seen.points_mm)) > 1.0
    assert mean_length(left) < 0.35
    assert fitted.score > bent(seen, planted).table()[1]


def bent(seen: Correspondence, warp: Warp) -> Correspondence:
    """Displace the points by a warp, whose opposite then matches best."""
    shifted = seen.points_mm + warp.at(seen.points_mm)
    return Correspondence(shifted, seen.fixed_bins, seen.moving, seen.to_index, seen.bins, seen.seen_share)


@pytest.mark.parametrize(("kind", "count"), [("rigid", 6), ("similar", 7), ("affine", 12), ("quadratic", 30)])
def test_each_kind_has_its_numbers_and_finds_itself(kind: str, count: int) -> None:
    warp = Warp(kind, np.array([1.0, 2.0, 3.0]), 50.0, RANDOM.standard_normal(count))
    again = closest(kind, warp.at(POINTS), POINTS, warp.center_mm, warp.radius_mm)
    np.testing.assert_allclose(again.numbers, warp.numbers, atol=1e-6)
    assert terms(kind, POINTS, warp.center_mm, 50.0).shape == (3000, 10 if kind == "quadratic" else 4)
    assert mean_length(without(kind, warp.at(POINTS), POINTS)) < 1e-6


def test_a_rigid_motion_has_no_shape_and_a_stretch_has() -> None:
    stretch = POINTS * np.array([0.1, 0.0, -0.1])
    assert mean_length(without("rigid", POINTS * 0.1, POINTS)) > 1.0
    assert mean_length(without("similar", POINTS * 0.1, POINTS)) < 1e-6
    assert mean_length(without("similar", stretch, POINTS)) > 1.0
    assert mean_length(without("affine", stretch, POINTS)) < 1e-6


def head(tilt_degrees: float) -> torch.Tensor:
    """Return a head that is its own mirror image about a tilted plane."""
    x, y, z = np.meshgrid(*[AFFINE[i, 3] + 4.0 * np.arange(40) for i in range(3)], indexing="ij")
    turned = rotation(np.radians((0.0, 0.0, -tilt_degrees))) @ np.stack([x, y, z]).reshape(3, -1)
    x, y, z = turned.reshape(3, *x.shape)
    eyes = np.exp(-(((np.abs(x) - 30) ** 2 + (y - 50) ** 2 + z**2) / 200))
    return torch.from_numpy(((x**2 / 60**2 + y**2 / 74**2 + z**2 / 66**2 < 1) * 1.0 + 3 * eyes).astype(np.float32))


@pytest.mark.parametrize("tilt_degrees", [0.0, 20.0])
def test_the_plane_of_symmetry_is_found(tilt_degrees: float) -> None:
    volume = head(tilt_degrees)
    plane, alike = symmetry_plane(prepare(volume, AFFINE, volume, AFFINE, load_preset("head")))
    normal = rotation(np.radians((0.0, 0.0, tilt_degrees)))[:, 0]
    np.testing.assert_allclose(plane[:3, :3] @ normal, -normal, atol=0.15)
    assert np.linalg.det(plane[:3, :3]) == pytest.approx(-1.0)
    assert alike > 0.9


def test_likeness_tells_a_symmetric_brain_from_another() -> None:
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    one_sided = head(0.0)
    one_sided[28:32, 12:26, 10:26] += 3.0
    inside = POINTS[np.linalg.norm(POINTS, axis=1) < 55.0]
    alike = [likeness(to_image(volume, AFFINE), inside, mirror) for volume in (head(0.0), one_sided)]
    assert alike[0] > 0.9
    assert alike[1] < 0.7


def test_inner_points_lie_deep_in_the_upper_head() -> None:
    lattice = np.stack(np.meshgrid(*[np.arange(-96.0, 97.0, 8.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = lattice[np.linalg.norm(lattice, axis=1) < 90.0]
    inner = inner_points(ball)
    assert 100 < len(inner) < len(ball) / 2
    assert np.linalg.norm(inner, axis=1).max() < 90.0 - 15.0
    assert inner[:, 2].min() > ball[:, 2].max() - 110.0
    few = ball[np.linalg.norm(ball, axis=1) < 25.0]
    np.testing.assert_array_equal(inner_points(few), few)


def test_a_matrix_is_taken_apart() -> None:
    turned = about_centers(rotation(np.radians((0.0, 0.0, 30.0))), np.zeros(3), np.array([0.0, 0.0, 7.0]))
    plausible = weigh_matrix(turned, np.zeros((1, 3)))
    assert plausible.turn_degrees == pytest.approx(30.0)
    assert plausible.moved_mm == pytest.approx(7.0)
    assert plausible.scale_error == pytest.approx(0.0, abs=1e-9)
    assert not plausible.mirrored
    stretched = weigh_matrix(turned @ np.diag([1.0, 1.1, 1.0, 1.0]), POINTS)
    assert stretched.scale_error == pytest.approx(0.1)
    assert weigh_matrix(np.diag([-1.0, 1.0, 1.0, 1.0]), POINTS).mirrored
