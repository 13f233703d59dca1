"""The Jacobian of a known map is known, and a fold does not hide between two nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfuse.geometry import Matrix, apply_affine
from medfuse.registration.jacobian import jacobian_determinant, jacobian_range
from medfuse.registration.starts import about_centers, rotation

SHAPE = (9, 8, 7)
OBLIQUE = about_centers(rotation(np.radians((20.0, -10.0, 35.0))), np.zeros(3), np.array([5.0, -3.0, 8.0])) @ np.diag(
    [-4.0, 3.0, 5.0, 1.0]
)
TURNED = about_centers(rotation(np.radians((5.0, 10.0, -15.0))), np.zeros(3), np.array([1.0, 2.0, 3.0]))
BENT = np.array([[0.10, 0.03, 0.00], [0.00, -0.20, 0.05], [0.02, 0.00, 0.15]])


def nodes(affine: Matrix) -> np.ndarray:
    """Return the world points of the nodes, (I, J, K, 3)."""
    return apply_affine(affine, np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1))


def field(vectors: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(vectors, -1, 0))


def test_no_displacement_keeps_every_volume() -> None:
    still = torch.zeros(3, *SHAPE)
    assert jacobian_range(still, OBLIQUE, TURNED) == pytest.approx((1.0, 1.0))
    torch.testing.assert_close(jacobian_determinant(still, OBLIQUE, TURNED), torch.ones(SHAPE))


def test_the_determinant_of_an_affine_map_is_that_of_its_matrix() -> None:
    displacement = field(nodes(OBLIQUE) @ BENT.T)
    expected = np.linalg.det(TURNED[:3, :3] + BENT)
    assert jacobian_range(displacement, OBLIQUE, TURNED) == pytest.approx((expected, expected), rel=1e-9)
    found = jacobian_determinant(displacement, OBLIQUE, TURNED)
    torch.testing.assert_close(found, torch.full(SHAPE, expected, dtype=torch.float32))


def test_the_determinant_of_a_curved_map_is_the_derivative() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    points = nodes(affine)
    push = np.zeros_like(points)
    push[..., 0] = 0.01 * points[..., 0] ** 2  # 1 + 0.02 x
    found = jacobian_determinant(field(push), affine, np.eye(4))
    expected = torch.from_numpy((1.0 + 0.02 * points[..., 0]).astype(np.float32))
    torch.testing.assert_close(found[1:-1], expected[1:-1])
    low, high = jacobian_range(field(push), affine, np.eye(4))
    assert low == pytest.approx(1.0 + 0.01 * 2.0)
    assert high == pytest.approx(1.0 + 0.01 * (16.0**2 - 14.0**2) / 2.0)


def test_a_fold_between_two_nodes_is_noticed() -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    zigzag = torch.zeros(3, *SHAPE)
    zigzag[0, ::2] = 5.0  # every second plane overtakes the next one
    assert jacobian_determinant(zigzag, affine, np.eye(4))[1:-1].min() > 0.9
    low, high = jacobian_range(zigzag, affine, np.eye(4))
    assert low == pytest.approx(1.0 - 5.0 / 4.0)
    assert high == pytest.approx(1.0 + 5.0 / 4.0)


def test_a_fold_in_a_single_corner_of_a_cell_is_noticed() -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    poked = torch.zeros(3, *SHAPE)
    poked[2, 4, 4, 3] = 4.5
    assert jacobian_range(poked, affine, np.eye(4))[0] == pytest.approx(1.0 - 4.5 / 4.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
def test_a_fold_along_an_outer_edge_is_noticed(axis: int, end: int) -> None:
    folded = np.zeros((3, *SHAPE))
    edge: list[int | slice] = [end, end, end]
    edge[axis] = slice(0, None, 2)
    folded[axis][tuple(edge)] = 5.0
    low, _ = jacobian_range(torch.from_numpy(folded), np.diag([4.0, 4.0, 4.0, 1.0]), np.eye(4))
    assert low == pytest.approx(1.0 - 5.0 / 4.0)


def test_a_reflection_is_negative() -> None:
    assert jacobian_range(torch.zeros(3, *SHAPE), OBLIQUE, np.diag([-1.0, 1.0, 1.0, 1.0]))[1] == pytest.approx(-1.0)
