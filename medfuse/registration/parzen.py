"""Mutual information of values that a displacement can still change, with its derivative by each of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.images import Values
from medfuse.registration.native import Sampled, usable_loops

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Bins: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Samples:
    """Points at which the mutual information of two scans is taken, with its derivatives.

    Args:
        points: (N, 3) positions.
        fixed_bins: (N,) bins of the fixed scan there, 0 .. bins - 1.
        moving: (X, Y, Z) the moving scan, 0 .. bins - 1, at least two voxels long on every axis.
        bins: number of bins of each scan.

    Attributes:
        compiled: the same for the compiled loops.
    """

    def __init__(self, points: Points, fixed_bins: Bins, moving: Values, bins: int) -> None:
        self._points, self._fixed_bins, self._moving, self._bins = points, fixed_bins, moving, bins
        self.compiled = Sampled(points, fixed_bins, moving, bins)

    def under(self, to_index: Matrix) -> tuple[float, Matrix]:
        """Return the mutual information in nats, and its (3, 4) derivatives by the upper rows of an affine map.

        Args:
            to_index: (4, 4) from the points to voxels of the moving scan.
        """
        loops = usable_loops()
        if loops is not None:
            return self.compiled.information(loops, to_index)
        information, forces = self._plainly(to_index)
        gradient = [[(force * other).sum() for other in (*self._points.T, 1.0)] for force in forces.T]
        return information, np.asarray(gradient)

    def forces(self, to_index: Matrix) -> tuple[float, Points]:
        """Return the mutual information in nats, and its (N, 3) derivatives by the points' voxel positions.

        Args:
            to_index: (4, 4) from the points to voxels of the moving scan.
        """
        loops = usable_loops()
        if loops is None:
            return self._plainly(to_index)
        forces = np.empty((len(self._points), 3))
        information, _ = self.compiled.information(loops, to_index, forces)
        return information, forces

    def _plainly(self, to_index: Matrix) -> tuple[float, Points]:
        values, slopes = look_up(self._moving, apply_affine(to_index, self._points))
        information, forces = information_and_forces(self._fixed_bins, values, self._bins)
        return information, slopes * forces[:, None]


def information_and_forces(fixed_bins: Bins, moving: Array, bins: int) -> tuple[float, Array]:
    """Return the mutual information in nats, and its derivative by each moving value.

    Each moving value is shared among the four bins around it by a cubic B-spline, which makes the score smooth
    (Mattes et al., "PET-CT image registration in the chest using free-form deformations", IEEE TMI 2003).

    Args:
        fixed_bins: (N,) bin numbers 0 .. bins - 1.
        moving: (N,) values 0 .. bins - 1.
        bins: number of bins of each scan; the histogram has three more, for the splines' tails.

    Returns:
        The mutual information and its (N,) derivatives.
    """
    width = bins + 3
    lower = np.minimum(moving.astype(np.int64), bins - 1)
    t = moving - lower
    cells = fixed_bins * width + lower
    shares = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    slopes = (-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2)  # of shares / 6, times 2
    counts = np.zeros(bins * width)
    for offset, share in enumerate(shares):
        counts += np.bincount(cells + offset, share, bins * width)
    joint = (counts / (6.0 * len(moving))).reshape(bins, width)
    fixed_total, moving_total = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    seen = joint > 0.0
    likelier = np.zeros_like(joint)
    np.log(joint / np.where(moving_total > 0.0, moving_total, 1.0), out=likelier, where=seen)
    information = float(np.sum(joint * likelier)) - float(
        np.sum(fixed_total * np.log(np.where(fixed_total > 0.0, fixed_total, 1.0)))
    )
    table = likelier.ravel()
    forces = sum(slope * table[cells + offset] for offset, slope in enumerate(slopes))
    return information, np.asarray(forces / (2.0 * len(moving)))


def look_up(volume: Values, indices: Points) -> tuple[Array, Points]:
    """Interpolate a volume linearly, and give the slope of the result.

    Args:
        volume: (X, Y, Z), at least two voxels long on every axis.
        indices: (N, 3) voxel positions; those beyond the outermost centers take the value at the border, where
            the slope across it is zero.

    Returns:
        (N,) values and (N, 3) derivatives by the index along each axis.
    """
    ends = np.asarray(volume.shape) - 1.0
    within = np.clip(indices, 0.0, ends)
    lower = np.minimum(within.astype(np.int64), np.asarray(volume.shape) - 2)
    u, v, w = (within - lower).T
    strides = np.array([volume.shape[1] * volume.shape[2], volume.shape[2], 1])
    start, flat = lower @ strides, volume.ravel()
    corner = [flat[start + i * strides[0] + j * strides[1] + k].astype(np.float64) for i, j, k in np.ndindex(2, 2, 2)]
    c00, c01, c10, c11 = (corner[n] + u * (corner[n + 4] - corner[n]) for n in range(4))  # along the first axis
    low, high = c00 + v * (c10 - c00), c01 + v * (c11 - c01)
    d00, d01, d10, d11 = (corner[n + 4] - corner[n] for n in range(4))
    across = (1 - v) * ((1 - w) * d00 + w * d01) + v * ((1 - w) * d10 + w * d11)
    slopes = np.stack([across, (1 - w) * (c10 - c00) + w * (c11 - c01), high - low], axis=-1)
    return low + w * (high - low), np.where(indices == within, slopes, 0.0)
