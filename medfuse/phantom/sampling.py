"""From the painted head to a scanner's voxels: point spread, and slices of their true thickness."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch

from medfuse.geometry import Matrix
from medfuse.phantom.shapes import Field

_SLICES_AT_ONCE = 8
_FWHM_PER_SIGMA = 2.3548


def blurred(values: Field, fwhm_voxels: tuple[float, float, float]) -> Field:
    """Return values spread by a Gaussian of the given full width at half maximum along each axis.

    The sums run in one fixed order, so that the result does not depend on the number of threads.
    """
    for axis, fwhm in enumerate(fwhm_voxels):
        if fwhm > 0.2:
            values = _blurred_along(values, axis, fwhm / _FWHM_PER_SIGMA)
    return values


def _blurred_along(values: Field, axis: int, sigma: float) -> Field:
    reach = max(1, int(np.ceil(3 * sigma)))
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    padded = np.pad(values, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
    count = values.shape[axis]

    def shifted(by: int) -> Field:
        window = [slice(None)] * 3
        window[axis] = slice(reach + by, reach + by + count)
        return padded[tuple(window)]

    total = values * weights[0]
    for by in range(1, reach + 1):
        total += (shifted(by) + shifted(-by)) * weights[by]
    return np.asarray(total, dtype=np.float32)


def halved(values: Field) -> tuple[Field, Matrix]:
    """Return means over 2 x 2 x 2 blocks, and the (4, 4) matrix from their indices to the old ones."""
    even = values[tuple(slice(0, n - n % 2) for n in values.shape)]
    total = np.zeros(tuple(n // 2 for n in even.shape), dtype=np.float32)
    for i, j, k in itertools.product((0, 1), repeat=3):
        total += even[i::2, j::2, k::2]
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = 0.5
    return total * np.float32(0.125), matrix


def sampled(values: Field, to_index: Matrix, shape: tuple[int, int, int], samples: tuple[int, int, int]) -> Field:
    """Sample a volume on another grid, each voxel the mean over points spread evenly inside it.

    Args:
        values: (X, Y, Z) volume; what lies beyond it continues its outermost values.
        to_index: (4, 4) matrix from the new grid's indices to indices of ``values``.
        shape: shape of the new grid.
        samples: number of points along each axis of a voxel.

    Returns:
        The values on the new grid.
    """
    source = torch.from_numpy(np.ascontiguousarray(values))[None, None]
    offsets = [((np.arange(count) + 0.5) / count - 0.5).tolist() for count in samples]
    result = np.empty(shape, dtype=np.float32)
    for first in range(0, shape[2], _SLICES_AT_ONCE):
        last = min(first + _SLICES_AT_ONCE, shape[2])
        total = np.zeros((*shape[:2], last - first), dtype=np.float32)
        for offset in itertools.product(*offsets):
            points = _grid_points(to_index, shape[:2], (first, last), offset)
            unit = points * np.array([2 / (n - 1) for n in values.shape], dtype=np.float32) - 1
            grid = torch.from_numpy(np.ascontiguousarray(unit[..., ::-1]))[None]
            total += torch.nn.functional.grid_sample(
                source, grid, mode="bilinear", padding_mode="border", align_corners=True
            )[0, 0].numpy()
        result[..., first:last] = total / np.float32(np.prod(samples))
    return result


def nearest(labels: npt.NDArray[np.uint8], to_index: Matrix, shape: tuple[int, int, int]) -> npt.NDArray[np.int16]:
    """Return the label nearest to the middle of each voxel of another grid."""
    points = _grid_points(to_index, shape[:2], (0, shape[2]), (0.0, 0.0, 0.0))
    index = np.rint(points).astype(np.int32)
    i, j, k = (np.clip(index[..., axis], 0, n - 1) for axis, n in enumerate(labels.shape))
    return labels[i, j, k].astype(np.int16)


def _grid_points(
    matrix: Matrix, plane: tuple[int, ...], slices: tuple[int, int], offset: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    """Map the indices of some slices through a matrix, shape (X, Y, slices, 3)."""
    i = np.arange(plane[0])[:, None, None, None] + offset[0]
    j = np.arange(plane[1])[None, :, None, None] + offset[1]
    k = np.arange(*slices)[None, None, :, None] + offset[2]
    # Written out rather than as a matrix product: the order of the sum must not depend on a BLAS.
    x, y, z, origin = (matrix[:3, column].astype(np.float32) for column in range(4))
    return np.asarray(
        i.astype(np.float32) * x + (j.astype(np.float32) * y + (k.astype(np.float32) * z + origin)),
        dtype=np.float32,
    )
