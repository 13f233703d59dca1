"""How well values of two scans go together, point by point, and how that changes as the points move.

A table says how much more often a pair of values occurs than chance would have it: the logarithm of the joint
over the independent frequencies. Its mean over all points is the mutual information; kept fixed while the
points move, it becomes a plain sum whose derivative is known, and which cannot be raised by leaving the head
(Leventon and Grimson, "Multi-modal volume registration using joint intensity distributions", MICCAI 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.ndimage import gaussian_filter

from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.images import Image, Values, affine_of, to_array
from medfuse.registration.information import Array, interpolate

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

_LEAST_SHARE = 1e-3  # of all points, spread over the table: a pair never seen is unlikely, not impossible
_FEWEST_POINTS = 500
_BLUR_BINS = 1.0


@dataclass(frozen=True)
class Correspondence:
    """Points of the fixed head and the moving scan to look them up in.

    Attributes:
        points_mm: (N, 3) points of the fixed head and its rim, RAS mm.
        fixed_bins: (N,) bin of the fixed scan at each.
        moving: (X, Y, Z) the moving scan in bins, 0 .. bins - 1; equally many points fall in each.
        to_index: (4, 4) from the fixed world, through the transform, to indices of ``moving``.
        bins: bins per scan.
        seen_share: fraction of the points that lie inside the moving scan.
    """

    points_mm: Points
    fixed_bins: np.ndarray[Any, np.dtype[np.int64]]
    moving: Values
    to_index: Matrix
    bins: int
    seen_share: float

    def values(self, shift_mm: Points | float = 0.0) -> tuple[Array, Array, Flags]:
        """Return value (N,), gradient (N, 3) per mm and whether seen (N,) for points that are shifted."""
        index = apply_affine(self.to_index, self.points_mm + shift_mm)
        ends = np.asarray(self.moving.shape) - 1.0
        seen = inside_grid(index, self.moving.shape)
        value, slope = value_and_slope(self.moving, np.clip(index, 0.0, ends))
        return value, slope @ self.to_index[:3, :3], seen

    def table(self, shift_mm: Points | float = 0.0) -> tuple[Array, float]:
        """Learn which values go together.

        Args:
            shift_mm: (N, 3) displacement of the points.

        Returns:
            The (bins, bins) logarithms of joint over independent frequency, and the mutual information in nats.
        """
        value, _, seen = self.values(shift_mm)
        lower = np.minimum(value.astype(np.int64), self.bins - 2)
        share = value - lower
        cells = self.fixed_bins * self.bins + lower
        counts = np.bincount(cells[seen], (1.0 - share)[seen], self.bins**2)
        counts += np.bincount(cells[seen] + 1, share[seen], self.bins**2)
        joint = gaussian_filter(counts.reshape(self.bins, self.bins), _BLUR_BINS, mode="nearest")
        joint += _LEAST_SHARE * max(float(seen.sum()), 1.0) / self.bins**2
        joint /= joint.sum()
        table = np.log(joint / (joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)))
        return table, float((joint * table).sum())

    def score(self, table: Array, shift_mm: Points | float = 0.0) -> tuple[float, Array]:
        """Score shifted points by a table; points outside the moving scan count nothing.

        Args:
            table: from ``table``.
            shift_mm: (N, 3) displacement of the points.

        Returns:
            The mean over all points, and its derivative by each point's shift, (N, 3) per mm.
        """
        value, slope, seen = self.values(shift_mm)
        lower = np.minimum(value.astype(np.int64), self.bins - 2)
        low, high = table[self.fixed_bins, lower], table[self.fixed_bins, lower + 1]
        terms = np.where(seen, low + (high - low) * (value - lower), 0.0)
        by_value = np.where(seen, high - low, 0.0)
        return float(terms.mean()), by_value[:, None] * slope / len(terms)


def correspond(
    fixed: Image,
    moving: Image,
    head_points_mm: Points,
    fixed_to_moving_ras: Matrix,
    bins: int,
    count: int,
    rim_mm: float,
) -> Correspondence | None:
    """Take points of the fixed head and look them up in both scans.

    Args:
        fixed: the fixed scan.
        moving: the moving scan.
        head_points_mm: (N, 3) points spread evenly over the fixed head, RAS mm.
        fixed_to_moving_ras: (4, 4) transform.
        bins: bins per scan.
        count: about how many points to take.
        rim_mm: how far they are strewn about, so that they reach between and beyond those given.

    Returns:
        What was found, or None where hardly any point lies in both scans.
    """
    random = np.random.default_rng(0)
    thinned = head_points_mm[:: max(1, len(head_points_mm) // count)]
    repeated = np.repeat(thinned, max(1, round(count / len(thinned))), axis=0)
    points = np.asarray(repeated + random.uniform(-rim_mm, rim_mm, repeated.shape), dtype=np.float64)
    index = apply_affine(np.asarray(np.linalg.inv(affine_of(fixed)), dtype=np.float64), points)
    inside = ((index >= 0.0) & (index <= np.asarray(fixed.GetSize()) - 1.0)).all(axis=1)
    points, index = points[inside], index[inside]
    to_index = np.asarray(np.linalg.inv(affine_of(moving)) @ fixed_to_moving_ras, dtype=np.float64)
    theirs = apply_affine(to_index, points)
    ends = np.asarray(moving.GetSize()) - 1.0
    seen = inside_grid(theirs, moving.GetSize())
    if seen.sum() < _FEWEST_POINTS:
        return None
    ours = interpolate(to_array(fixed), index)
    edges = np.unique(np.quantile(ours, np.arange(1, bins) / bins))
    array = to_array(moving)
    middles = np.quantile(interpolate(array, np.clip(theirs[seen], 0.0, ends)), (np.arange(bins) + 0.5) / bins)
    levels, first = np.unique(middles, return_index=True)
    binned = np.interp(array, levels, first.astype(np.float64)).astype(np.float32)
    return Correspondence(points, np.searchsorted(edges, ours), binned, to_index, bins, float(seen.mean()))


def value_and_slope(volume: Values, index: Points) -> tuple[Array, Array]:
    """Interpolate a volume linearly and take the derivative of that.

    Args:
        volume: (X, Y, Z), at least two voxels along each axis.
        index: (N, 3) positions inside the grid's outermost centers.

    Returns:
        (N,) values and (N, 3) derivatives per voxel.
    """
    shape = np.asarray(volume.shape)
    lower = np.clip(np.floor(index).astype(np.int64), 0, shape - 2)
    x, y, z = (index - lower).T
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    start = lower @ strides
    flat = volume.ravel()
    c = {corner: flat[start + int(np.dot(corner, strides))] for corner in np.ndindex(2, 2, 2)}
    along_x = {(b, d): c[1, b, d] - c[0, b, d] for b in (0, 1) for d in (0, 1)}
    edges = {(b, d): c[0, b, d] + along_x[b, d] * x for b in (0, 1) for d in (0, 1)}
    along_y = [edges[1, d] - edges[0, d] for d in (0, 1)]
    faces = [edges[0, d] + along_y[d] * y for d in (0, 1)]
    slope_z = faces[1] - faces[0]
    slope_y = along_y[0] + (along_y[1] - along_y[0]) * z
    near = [along_x[0, d] + (along_x[1, d] - along_x[0, d]) * y for d in (0, 1)]
    slope_x = near[0] + (near[1] - near[0]) * z
    return faces[0] + slope_z * z, np.stack([slope_x, slope_y, slope_z], axis=1)
