"""The parts of the search: body, pyramid, starts, scores and choices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfuse.geometry import apply_affine, center_mm
from medfuse.registration.body import find_body
from medfuse.registration.images import affine_of, rigid_matrix, to_array, to_image, to_transform
from medfuse.registration.information import interpolate, mutual_information
from medfuse.registration.poses import Pose, best_of_each_turn, prefer_less_motion
from medfuse.registration.pyramid import coarsen, pyramid
from medfuse.registration.starts import HEADER, about_centers, make_starts, rotation

OBLIQUE = np.array([[-1.5, 0.2, 0.1, 30.0], [0.2, 1.4, -0.3, -20.0], [0.1, 0.2, 2.8, 5.0], [0, 0, 0, 1.0]])
POINTS = np.random.default_rng(0).uniform(-80, 80, (100, 3))


def shifted(x: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def test_an_image_keeps_values_and_place() -> None:
    volume = torch.arange(60.0).reshape(3, 4, 5)
    image = to_image(volume, OBLIQUE)
    np.testing.assert_array_equal(to_array(image), volume.numpy())
    np.testing.assert_allclose(affine_of(image), OBLIQUE, atol=1e-12)
    right, front, up = image.TransformIndexToPhysicalPoint((1, 2, 3)) * np.array([-1, -1, 1])
    np.testing.assert_allclose((right, front, up), apply_affine(OBLIQUE, np.array([1.0, 2.0, 3.0])))


def test_a_transform_of_ras_points_is_one_of_lps_points_to_itk() -> None:
    matrix = about_centers(rotation(np.radians((10, 20, 30))), np.array([1.0, 2, 3]), np.array([4.0, 5, 6]))
    transform = to_transform(matrix)
    flip = np.array([-1.0, -1.0, 1.0])
    for point in POINTS[:5]:
        moved = np.array(transform.TransformPoint((point * flip).tolist())) * flip
        np.testing.assert_allclose(moved, apply_affine(matrix, point))
    np.testing.assert_allclose(rigid_matrix(transform), matrix, atol=1e-12)


def test_a_level_coarsens_fine_axes_only_and_keeps_the_field_of_view() -> None:
    affine = np.diag([0.5, 1.0, 6.0, 1.0])
    image = coarsen(to_image(torch.rand(64, 40, 10), affine), 4.0)
    assert image.GetSize() == (8, 10, 10)
    np.testing.assert_allclose(image.GetSpacing(), (4.0, 4.0, 6.0))
    np.testing.assert_allclose(center_mm(affine_of(image), image.GetSize()), center_mm(affine, (64, 40, 10)), atol=1e-9)


def test_smoothing_keeps_a_constant_and_quietens_noise() -> None:
    flat = coarsen(to_image(torch.full((32, 32, 32), 5.0), np.eye(4)), 4.0)
    np.testing.assert_allclose(to_array(flat), 5.0, atol=1e-4)
    noisy = coarsen(to_image(torch.randn(32, 32, 32), np.eye(4)), 4.0)
    assert to_array(noisy).std() < 0.2


def test_a_pyramid_has_each_level_once() -> None:
    levels = pyramid(to_image(torch.rand(32, 32, 32), np.eye(4)), [8.0, 2.0, 4.0, 4.0])
    assert {level: image.GetSize()[0] for level, image in levels.items()} == {2.0: 16, 4.0: 8, 8.0: 4}


def test_the_body_is_found_beside_a_couch() -> None:
    x, y, z = np.meshgrid(*[np.arange(50) * 4.0 - 98.0] * 3, indexing="ij")
    head = x**2 / 70**2 + (y - 10) ** 2 / 80**2 + z**2 / 80**2 < 1
    couch = (y < -82) & (y > -90)
    values = np.where(head, 40.0, np.where(couch, 300.0, -1000.0))
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -98.0
    body = find_body(to_image(torch.from_numpy(values), affine))
    np.testing.assert_allclose(body.center_mm, (0.0, 10.0, 0.0), atol=2.0)


def test_the_head_center_ignores_a_neck() -> None:
    values = torch.zeros(50, 50, 90)
    values[10:40, 10:40, 40:85] = 100.0
    with_neck = values.clone()
    with_neck[18:32, 18:32, :40] = 100.0
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    bare, whole = (find_body(to_image(volume, affine)) for volume in (values, with_neck))
    assert np.linalg.norm(bare.center_mm - whole.center_mm) > 10.0
    np.testing.assert_allclose(bare.head_center_mm, whole.head_center_mm, atol=2.0)


def test_a_constant_volume_is_body_throughout() -> None:
    body = find_body(to_image(torch.ones(10, 10, 10), np.eye(4)))
    assert len(body.points_mm) == 1000


def test_starts_are_rigid_and_meet_the_centers() -> None:
    fixed, moving = np.array([1.0, 2.0, 3.0]), np.array([30.0, -20.0, 10.0])
    starts = make_starts({"body": (fixed, moving)}, 40.0)
    assert starts[0].name == HEADER
    np.testing.assert_array_equal(starts[0].fixed_to_moving_ras, np.eye(4))
    assert len({start.name for start in starts}) == len(starts) == 28
    for start in starts[1:]:
        turn = start.fixed_to_moving_ras[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(apply_affine(start.fixed_to_moving_ras, fixed), moving, atol=1e-9)


def test_information_of_a_scan_with_itself_is_its_entropy() -> None:
    bins = np.random.default_rng(0).integers(0, 8, 20_000)
    counts = np.bincount(bins) / len(bins)
    entropy = -np.sum(counts * np.log(counts))
    assert mutual_information(bins, bins.astype(float), 8) == pytest.approx(entropy)
    assert mutual_information(bins, 7.0 - bins, 8) == pytest.approx(entropy)


def test_information_of_strangers_is_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    assert mutual_information(rng.integers(0, 8, 50_000), rng.uniform(0, 7, 50_000), 8) < 2e-3


def test_interpolation_is_exact_at_voxels_and_linear_between() -> None:
    volume = np.random.default_rng(0).random((4, 5, 6), dtype=np.float32)
    assert interpolate(volume, np.array([[3.0, 4.0, 5.0]]))[0] == volume[3, 4, 5]
    halfway = interpolate(volume, np.array([[1.5, 2.0, 3.0]]))[0]
    assert halfway == pytest.approx((volume[1, 2, 3] + volume[2, 2, 3]) / 2)


def test_a_pose_that_leaves_the_scan_gains_nothing() -> None:
    assert Pose("a", np.eye(4), 1.0, 1.0).score > Pose("b", np.eye(4), 1.2, 0.5).score


def test_of_poses_that_turn_alike_the_best_stays() -> None:
    worse, better = Pose("worse", shifted(5), 0.3, 1.0), Pose("better", shifted(9), 0.4, 1.0)
    assert [pose.name for pose in best_of_each_turn([worse, better])] == ["better"]


@pytest.mark.parametrize(("near_similarity", "chosen"), [(0.995, "near"), (0.9, "far")])
def test_a_tie_goes_to_the_smaller_motion(near_similarity: float, chosen: str) -> None:
    poses = [Pose("far", shifted(50), 1.0, 1.0), Pose("near", shifted(1), near_similarity, 1.0)]
    assert prefer_less_motion(poses, POINTS, basin_mm=4.0, tie=0.02).name == chosen


def test_within_one_basin_the_better_pose_wins() -> None:
    poses = [Pose("best", shifted(3), 1.0, 1.0), Pose("nearer", shifted(1), 0.999, 1.0)]
    assert prefer_less_motion(poses, POINTS, basin_mm=4.0, tie=0.02).name == "best"
