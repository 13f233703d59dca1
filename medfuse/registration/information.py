"""Mutual information of two scans under a given transform, at a fixed set of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from scipy.special import entr

from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.images import Values
from medfuse.registration.native import Sampled, usable_loops

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
_WRAP = 2**32
_GOLDEN_RATIO = np.uint32((np.sqrt(5.0) - 1.0) / 2.0 * _WRAP)  # multiples of it wrap round, evenly strewn
_Kind = TypeVar("_Kind", bound="np.dtype[Any]")


@dataclass(frozen=True)
class Scene:
    """What a score is computed from: points of the fixed scan, and the moving scan to look them up in.

    Attributes:
        points_mm: (N, 3) fixed world points in RAS mm.
        fixed_bins: (N,) histogram bin of the fixed scan at each point.
        moving: (X, Y, Z) values of the moving scan, scaled to 0 .. bins - 1.
        world_to_moving: (4, 4) from moving world points, in RAS mm, to voxel indices of ``moving``.
        bins: number of histogram bins per scan.
    """

    points_mm: Points
    fixed_bins: np.ndarray[Any, np.dtype[np.int64]]
    moving: Values
    world_to_moving: Matrix
    bins: int


def thin(rows: np.ndarray[Any, _Kind], most: int, seed: int = 0) -> np.ndarray[Any, _Kind]:
    """Keep about this many rows, spread evenly but in no step that a grid has: multiples of the golden ratio choose.

    Args:
        rows: (N, ...).
        most: all are kept if there are no more.
        seed: which multiple is the first.
    """
    if len(rows) <= most:
        return rows
    multiples = (np.arange(len(rows), dtype=np.uint32) + np.uint32(seed % _WRAP)) * _GOLDEN_RATIO
    return rows[multiples < np.uint32(most / len(rows) * _WRAP)]


def similarity(scene: Scene, fixed_to_moving_ras: Matrix) -> tuple[float, float]:
    """Score a transform.

    Args:
        scene: the points and the moving scan.
        fixed_to_moving_ras: (4, 4) world transform.

    Returns:
        The mutual information in nats over the points that fall inside the moving scan (0.0 if hardly any
        does), and the fraction of points that do.
    """
    to_index = np.asarray(scene.world_to_moving @ fixed_to_moving_ras, dtype=np.float64)
    loops = usable_loops()
    if loops is not None:
        sampled = Sampled(scene.points_mm, scene.fixed_bins, scene.moving, scene.bins)
        counts, inside = sampled.joint_counts(loops, to_index)
    else:
        counts, inside = _joint_counts(scene, to_index)
    fraction = inside / max(1, len(scene.points_mm))
    return (_information(counts / inside) if inside >= scene.bins else 0.0), fraction


def _joint_counts(scene: Scene, to_index: Matrix) -> tuple[Array, int]:
    """Return the joint histogram of the points inside the moving scan, and how many there are."""
    indices = apply_affine(to_index, scene.points_mm)
    ends = np.asarray(scene.moving.shape) - 1.0
    inside = inside_grid(indices, scene.moving.shape)
    values = interpolate(scene.moving, np.clip(indices[inside], 0.0, ends))
    return joint_histogram(scene.fixed_bins[inside], values, scene.bins), int(inside.sum())


def mutual_information(fixed_bins: np.ndarray[Any, Any], moving: Array, bins: int) -> float:
    """Return the mutual information, in nats, of bin numbers and of values that lie between bins.

    Args:
        fixed_bins: (N,) bin numbers 0 .. bins - 1.
        moving: (N,) values within 0 .. bins - 1.
        bins: number of bins per axis.

    Returns:
        The mutual information, at least 0.
    """
    return _information(joint_histogram(fixed_bins, moving, bins) / len(moving))


def joint_histogram(fixed_bins: np.ndarray[Any, Any], moving: Array, bins: int) -> Array:
    """Count pairs of values, (bins, bins).

    Each moving value is shared between the two nearest bins, which keeps the score continuous in the
    transform (Maes et al., IEEE TMI 1997).
    """
    lower = np.minimum(moving.astype(np.int64), bins - 2)
    upper_share = moving - lower
    cells = fixed_bins * bins + lower
    shares = np.bincount(cells, 1.0 - upper_share, bins * bins)
    shares += np.bincount(cells + 1, upper_share, bins * bins)
    return np.asarray(shares.reshape(bins, bins), dtype=np.float64)


def _information(joint: Array) -> float:
    """Return the mutual information of two scans whose joint frequencies these are."""
    apart = entr(joint.sum(axis=0)).sum() + entr(joint.sum(axis=1)).sum()
    return max(0.0, float(apart - entr(joint).sum()))


def interpolate(volume: Values, indices: Points) -> Array:
    """Interpolate a volume linearly.

    Args:
        volume: (X, Y, Z).
        indices: (N, 3) voxel positions, inside the grid's outermost centers.

    Returns:
        (N,) values.
    """
    shape = np.asarray(volume.shape)
    lower = np.clip(np.floor(indices).astype(np.int64), 0, np.maximum(shape - 2, 0))
    share = indices - lower
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    step = strides * (shape > 1)
    start = lower @ strides
    flat = volume.ravel()
    u, v, w = share.T
    along_z, along_y, along_x = int(step[2]), int(step[1]), int(step[0])

    def between(place: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
        first = flat[place]
        return np.asarray(first + w * (flat[place + along_z] - first))

    def across(place: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
        first = between(place)
        return np.asarray(first + v * (between(place + along_y) - first))

    near = across(start)
    return np.asarray(near + u * (across(start + along_x) - near))
