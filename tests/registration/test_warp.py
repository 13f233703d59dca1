"""Laws of maps with displacements: they agree with linear ones, resample honestly, and can be undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_deformed import bumps

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.resample import resample_to
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.warp import Displacement, invert_displacement, move_points, seen_through, to_warp

TURN = about_centers(rotation(np.radians((10.0, -6.0, 15.0))), np.zeros(3), np.array([4.0, -3.0, 2.0]))
FIXED_SHAPE, MOVING_SHAPE = (14, 13, 9), (17, 16, 12)


def centered(shape: tuple[int, ...], spacing: tuple[float, ...], turn: Matrix | None = None) -> Matrix:
    """Return the affine of a grid about the origin."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.asarray(spacing) * (np.asarray(shape) - 1.0) / 2.0
    return affine if turn is None else turn @ affine


FIXED = centered(
    FIXED_SHAPE, (-3.0, 3.0, 4.0), about_centers(rotation(np.radians((0, 8, 0))), np.zeros(3), np.zeros(3))
)
MOVING = centered(MOVING_SHAPE, (3.0, 3.2, 3.6))
NODES = (12, 12, 11)
NODES_AFFINE = centered(NODES, (5.0, 5.0, 5.0))


def lattice(shape: tuple[int, ...], affine: Matrix) -> Points:
    """Return world points, (I, J, K, 3)."""
    return apply_affine(affine, np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1))


def displaced(vectors: Points) -> Displacement:
    return Displacement(torch.from_numpy(np.moveaxis(vectors, -1, 0).astype(np.float32)), NODES_AFFINE)


def constant(vector: tuple[float, float, float]) -> Displacement:
    return displaced(np.broadcast_to(vector, (*NODES, 3)))


def shifted(matrix: Matrix, vector: tuple[float, float, float]) -> Matrix:
    moved = matrix.copy()
    moved[:3, 3] += vector
    return moved


def scan() -> torch.Tensor:
    return torch.rand(MOVING_SHAPE, generator=torch.Generator().manual_seed(0)) + 1.0


def inner_points(count: int = 200, half_mm: float = 20.0) -> Points:
    return np.random.default_rng(2).uniform(-half_mm, half_mm, (count, 3))


def test_points_move_by_the_linear_part_and_the_displacement() -> None:
    bent = np.array([[0.05, 0.01, 0.0], [0.0, -0.03, 0.02], [0.01, 0.0, 0.04]])
    displacement = displaced(lattice(NODES, NODES_AFFINE) @ bent.T)
    points = inner_points()
    expected = apply_affine(TURN, points) + points @ bent.T
    np.testing.assert_allclose(move_points(points, TURN, displacement), expected, atol=1e-5)


def test_beyond_the_nodes_the_displacement_stays_what_it_is_at_the_border() -> None:
    displacement = displaced(lattice(NODES, NODES_AFFINE))
    far = np.array([[500.0, 0.0, 0.0], [0.0, -500.0, 10.0]])
    np.testing.assert_allclose(displacement.at(far), [[27.5, 0.0, 0.0], [0.0, -27.5, 10.0]], atol=1e-5)


def test_itk_moves_points_the_same_way() -> None:
    displacement = displaced(bumps(4.0, 15.0, 20.0, 1)(lattice(NODES, NODES_AFFINE)))
    flip = np.array([-1.0, -1.0, 1.0])
    stretched = TURN @ np.diag([1.1, 0.95, 1.0, 1.0])
    points = inner_points()
    transform = to_warp(stretched, displacement)
    found = np.array([transform.TransformPoint(point) for point in (points * flip).tolist()]) * flip
    np.testing.assert_allclose(found, move_points(points, stretched, displacement), atol=1e-5)


def test_no_displacement_resamples_as_none() -> None:
    values, seen = resample_to(scan(), MOVING, FIXED_SHAPE, FIXED, TURN)
    again, seen_again = resample_to(scan(), MOVING, FIXED_SHAPE, FIXED, TURN, constant((0.0, 0.0, 0.0)))
    assert torch.equal(seen, seen_again)
    assert 0.1 < seen.float().mean() < 1.0
    torch.testing.assert_close(again, values, atol=1e-5, rtol=0.0)


def test_a_constant_displacement_is_a_shift() -> None:
    push = (-9.0, 7.0, -6.0)  # some voxels leave the scan, others come in
    values, seen = resample_to(scan(), MOVING, FIXED_SHAPE, FIXED, shifted(TURN, push))
    again, seen_again = resample_to(scan(), MOVING, FIXED_SHAPE, FIXED, TURN, constant(push))
    assert torch.equal(seen, seen_again)
    torch.testing.assert_close(again, values, atol=1e-4, rtol=0.0)
    unmoved, seen_unmoved = resample_to(scan(), MOVING, FIXED_SHAPE, FIXED, TURN)
    assert (again - unmoved).abs().max() > 0.2
    assert (seen & ~seen_unmoved).any()
    assert (~seen & seen_unmoved).any()


def test_a_displacement_on_equal_grids_is_not_overlooked() -> None:
    moving = scan()
    still, _ = resample_to(moving, MOVING, MOVING_SHAPE, MOVING, np.eye(4))
    pushed, _ = resample_to(moving, MOVING, MOVING_SHAPE, MOVING, np.eye(4), constant((3.0, 0.0, 0.0)))
    assert torch.equal(still, moving)
    torch.testing.assert_close(pushed[:-1], moving[1:], atol=1e-4, rtol=0.0)


def test_what_is_pushed_out_of_the_scan_is_not_seen() -> None:
    moving = scan()
    moving[3, 3, 3] = -1000.0
    push = np.zeros((*NODES, 3))
    push[..., 0] = np.where(lattice(NODES, NODES_AFFINE)[..., 0] > 0.0, 200.0, 0.0)
    fixed = centered(FIXED_SHAPE, (3.0, 3.0, 3.0))
    values, seen = resample_to(moving, MOVING, FIXED_SHAPE, fixed, np.eye(4), displaced(push))
    right = lattice(FIXED_SHAPE, fixed)[..., 0]
    assert not seen[torch.from_numpy(right > 2.5)].any()
    assert seen[torch.from_numpy(right < -2.5)].all()
    assert (values[~seen] == -1000.0).all()


@pytest.mark.parametrize("push", [(0.0, 0.0, 0.0), (30.0, -10.0, 5.0)])
def test_the_mask_is_where_the_map_lands_inside(push: tuple[float, float, float]) -> None:
    found = seen_through(MOVING_SHAPE, MOVING, FIXED_SHAPE, FIXED, TURN, constant(push))
    indices = apply_affine(np.linalg.inv(MOVING) @ shifted(TURN, push), lattice(FIXED_SHAPE, FIXED))
    expected = ((indices >= -0.5) & (indices <= np.asarray(MOVING_SHAPE) - 0.5)).all(axis=-1)
    assert 0 < expected.sum() < expected.size
    assert (found.numpy() == expected).all()


def test_the_way_back_undoes_the_way_there() -> None:
    displacement = displaced(bumps(4.0, 30.0, 15.0, 3, count=3)(lattice(NODES, NODES_AFFINE)))
    there = (28, 27, 26)
    back = invert_displacement(TURN, displacement, there, centered(there, (2.0, 2.0, 2.0)))
    points = inner_points(500, 14.0)
    moved = move_points(points, TURN, displacement)
    assert np.linalg.norm(moved - apply_affine(TURN, points), axis=1).max() > 2.0
    missed = np.linalg.norm(move_points(moved, back.start_ras, back.displacement) - points, axis=1)
    assert missed.max() < 0.05
    assert back.error_mm < 0.05


def test_an_inverse_that_does_not_settle_says_so() -> None:
    fold = np.zeros((*NODES, 3))
    fold[::2, ..., 0] = 12.0
    back = invert_displacement(np.eye(4), displaced(fold), NODES, NODES_AFFINE)
    assert back.error_mm > 1.0
