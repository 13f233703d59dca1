"""Laws of resampling: identity, exactness on linear fields, and an honest mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medfuse.geometry import apply_affine
from medfuse.registration.resample import resample_to
from medfuse.registration.starts import about_centers, rotation

OBLIQUE = np.array([[-1.5, 0.2, 0.1, 30.0], [0.2, 1.4, -0.3, -20.0], [0.1, 0.2, 2.8, 5.0], [0, 0, 0, 1.0]])


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 1.0


def grid(spacing: float, origin: float = 0.0) -> np.ndarray:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = origin
    return affine


def linear_field(shape: tuple[int, int, int], affine: np.ndarray, matrix: np.ndarray | None = None) -> torch.Tensor:
    """Return 2x - 3y + z + 7 at each voxel's world point (after a world transform)."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).astype(float)
    world = apply_affine(affine if matrix is None else matrix @ affine, indices)
    return torch.from_numpy(world @ [2.0, -3.0, 1.0] + 7.0)


def test_the_same_grid_gives_the_same_bits_in_new_memory() -> None:
    moving = noise(7, 8, 9)
    values, seen = resample_to(moving, OBLIQUE, (7, 8, 9), OBLIQUE, np.eye(4))
    assert torch.equal(values, moving)
    assert values.data_ptr() != moving.data_ptr()
    assert values.dtype == torch.float32
    assert seen.dtype == torch.bool
    assert seen.all()


def test_a_shift_of_the_head_and_of_the_grid_cancel() -> None:
    moving = noise(7, 8, 9)
    shift = np.eye(4)
    shift[:3, 3] = (12.0, -7.0, 3.0)
    values, seen = resample_to(moving, shift @ OBLIQUE, (7, 8, 9), OBLIQUE, shift)
    assert torch.equal(values, moving)
    assert seen.all()


def test_a_reversed_axis_is_put_right() -> None:
    moving = noise(6, 5, 4)
    affine = grid(2.0)
    stored = affine @ np.array([[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    values, seen = resample_to(moving.flip(0), stored, (6, 5, 4), affine, np.eye(4))
    torch.testing.assert_close(values, moving)
    assert seen.all()


def test_a_linear_field_stays_exact_through_a_rigid_motion() -> None:
    shape, moving_affine = (20, 22, 15), grid(2.0, -15.0)
    fixed_shape, fixed_affine = (8, 7, 6), grid(1.7, -3.0)
    matrix = about_centers(rotation(np.radians((20.0, -10.0, 35.0))), np.zeros(3), np.array([1.0, 2.0, 3.0]))
    moving = linear_field(shape, moving_affine)
    values, seen = resample_to(moving, moving_affine, fixed_shape, fixed_affine, matrix)
    assert seen.all()
    expected = linear_field(fixed_shape, fixed_affine, matrix).to(torch.float32)
    torch.testing.assert_close(values, expected, atol=1e-3, rtol=0)


def test_the_mask_is_the_moving_scans_field_of_view() -> None:
    values, seen = resample_to(noise(4, 4, 4), grid(2.0), (10, 4, 4), grid(2.0, -6.0), np.eye(4))
    inside = (torch.arange(10) >= 3) & (torch.arange(10) < 7)
    expected = torch.zeros(10, 4, 4, dtype=torch.bool)
    expected[inside, 3:, 3:] = True
    assert torch.equal(seen, expected)
    assert values[seen].min() >= 1.0


def test_the_field_of_view_ends_half_a_voxel_beyond_the_outermost_centers() -> None:
    fine = np.diag([0.5, 2.0, 2.0, 1.0])
    fine[0, 3] = -1.4
    _, seen = resample_to(noise(4, 4, 4), grid(2.0), (24, 4, 4), fine, np.eye(4))
    x = -1.4 + 0.5 * torch.arange(24)
    assert torch.equal(seen[:, 0, 0], (x >= -1.0) & (x <= 7.0))


def test_outside_is_the_moving_background_and_never_the_border() -> None:
    moving = noise(4, 4, 4) * 100.0
    moving[1, 1, 1] = -1024.0
    values, seen = resample_to(moving, grid(2.0), (4, 4, 4), grid(2.0, 1000.0), np.eye(4))
    assert not seen.any()
    assert (values == -1024.0).all()


def test_a_coarse_voxel_takes_the_mean_over_its_extent() -> None:
    moving = noise(16, 16, 16)
    coarse = grid(4.0, 1.5)
    values, seen = resample_to(moving, grid(1.0), (4, 4, 4), coarse, np.eye(4))
    blocks = moving.reshape(4, 4, 4, 4, 4, 4).mean(dim=(1, 3, 5))
    assert seen.all()
    torch.testing.assert_close(values, blocks)


@pytest.mark.parametrize("kind", [torch.float64, torch.int16])
def test_other_types_come_back_as_float32(kind: torch.dtype) -> None:
    moving = (noise(4, 4, 4) * 100).to(kind)
    values, _ = resample_to(moving, grid(1.0), (4, 4, 4), grid(1.0), np.eye(4))
    assert values.dtype == torch.float32
    assert torch.equal(values, moving.to(torch.float32))
