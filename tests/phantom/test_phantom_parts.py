"""The parts that the phantom is made of: shapes, noise, lattice and sampling."""

from __future__ import annotations

import numpy as np
import pytest

from medfuse.phantom.lattice import Lattice, Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.sampling import blurred, halved, nearest, sampled
from medfuse.phantom.shapes import ball, common, ellipsoid, rod, tube, united, without
from medfuse.phantom.tissues import Tissue, values_of

LATTICE = Lattice(4.0)
BOX = LATTICE.box((-40.0, -40.0, -40.0), (40.0, 40.0, 40.0))
AT = LATTICE.coordinates(BOX)


def test_ellipsoid_with_equal_radii_is_a_ball() -> None:
    round_one = ellipsoid(AT, (1.0, 2.0, 3.0), (20.0, 20.0, 20.0))
    np.testing.assert_allclose(round_one, ball(AT, (1.0, 2.0, 3.0), 20.0), atol=0.01)


def test_rod_of_one_radius_is_a_ball_at_each_end() -> None:
    line = rod(AT, (-10.0, 0.0, 0.0), (10.0, 0.0, 0.0), 5.0)
    beyond = np.broadcast_to(AT[0] >= 10, line.shape)
    np.testing.assert_allclose(line[beyond], ball(AT, (10.0, 0.0, 0.0), 5.0)[beyond], atol=1e-4)


def test_united_and_common_bound_their_parts() -> None:
    a, b = ball(AT, (-8.0, 0.0, 0.0), 12.0), ball(AT, (8.0, 0.0, 0.0), 12.0)
    assert (united(a, b, 6.0) <= np.minimum(a, b) + 1e-5).all()
    assert (common(a, b, 6.0) >= np.maximum(a, b) - 1e-5).all()
    assert not ((without(a, b, 2.0) < 0) & (b < 0)).any()


def test_tube_needs_two_knots() -> None:
    with pytest.raises(ValueError, match="two knots"):
        tube(AT, ((0.0, 0.0, 0.0, 1.0),))


def test_streams_are_independent_and_repeatable() -> None:
    first, again, other = (stream(3, name).standard_normal(4) for name in ("a", "a", "b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_has_unit_variance_repeats_and_is_smooth() -> None:
    noise = SmoothNoise(stream(0, "test"), 40.0, period_mm=160.0)
    line = np.linspace(0, 160, 64, endpoint=False, dtype=np.float32)
    at = (line[:, None, None], line[None, :, None], line[None, None, :])
    values = noise(at)
    assert values.std() == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(noise((at[0] + np.float32(160), at[1], at[2])), values, atol=1e-3)
    slope = np.diff(values, axis=0).std() / 2.5
    assert slope == pytest.approx(2 * np.pi / 40 / np.sqrt(3), rel=0.2)


def test_painting_over_leaves_the_last_coat() -> None:
    painting = Painting(LATTICE)
    painting.paint(Tissue.FAT, BOX, ball(AT, (0.0, 0.0, 0.0), 30.0))
    painting.paint(Tissue.MUSCLE, BOX, ball(AT, (0.0, 0.0, 0.0), 15.0))
    middle = tuple(int(i) for i in np.rint(-LATTICE.affine_ras[:3, 3] / LATTICE.step_mm))
    values = painting.values(values_of("CT"))
    assert values[middle] == pytest.approx(values_of("CT")[Tissue.MUSCLE], abs=1e-3)
    assert painting.labels()[middle] == Tissue.MUSCLE
    volume_mm3 = (painting.labels() > 0).sum() * LATTICE.step_mm**3
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 30**3, rel=0.03)


def test_edge_of_a_coat_is_soft() -> None:
    painting = Painting(LATTICE)
    painting.paint(Tissue.FAT, BOX, ball(AT, (0.0, 0.0, 0.0), 30.0))
    share = (painting.values({Tissue.AIR: 0.0, Tissue.FAT: 1.0})).sum() * LATTICE.step_mm**3
    assert share == pytest.approx(4 / 3 * np.pi * 30**3, rel=0.01)


def test_interpolating_a_plane_is_exact() -> None:
    fine = Lattice(2.0)
    box = fine.box((-30.0, -20.0, -10.0), (31.0, 22.0, 13.0))
    x, y, z = at = fine.coordinates(box)
    plane = fine.interpolated(lambda at: at[0] + 2 * at[1] - at[2], box, 8.0)
    assert plane.shape == np.broadcast_shapes(*(part.shape for part in at))
    np.testing.assert_allclose(plane, x + 2 * y - z, atol=1e-3)


def test_blur_keeps_the_sum_and_has_its_width() -> None:
    point = np.zeros((41, 41, 41), dtype=np.float32)
    point[20, 20, 20] = 1
    spread = blurred(point, (6.0, 6.0, 0.0))
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    profile = spread[:, 20, 20]
    assert profile[17] == pytest.approx(profile.max() / 2, rel=0.03)
    assert (spread[..., 20].sum()) == pytest.approx(1, abs=1e-4)


def test_sampling_on_the_same_grid_changes_nothing() -> None:
    values = np.random.default_rng(0).standard_normal((9, 8, 12)).astype(np.float32)
    np.testing.assert_allclose(sampled(values, np.eye(4), (9, 8, 12), (1, 1, 1)), values, atol=1e-5)
    labels = np.random.default_rng(0).integers(0, 9, (9, 8, 12)).astype(np.uint8)
    assert np.array_equal(nearest(labels, np.eye(4), (9, 8, 12)), labels)


def test_thick_slices_are_means_of_thin_ones() -> None:
    values = np.random.default_rng(0).standard_normal((6, 6, 16)).astype(np.float32)
    to_index = np.diag([1.0, 1.0, 4.0, 1.0])
    to_index[2, 3] = 1.5
    thick = sampled(values, to_index, (6, 6, 4), (1, 1, 4))
    np.testing.assert_allclose(thick, values.reshape(6, 6, 4, 4).mean(axis=3), atol=1e-5)


def test_halving_keeps_positions() -> None:
    x = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((10, 8, 9), dtype=np.float32)
    half, to_old = halved(x)
    assert half.shape == (5, 4, 4)
    np.testing.assert_allclose(half[3, 0, 0], (to_old @ [3, 0, 0, 1])[0])
