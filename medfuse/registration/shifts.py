"""Mutual information of two scans at every shift at once, for one rotation after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy import fft

from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.images import Values
from medfuse.registration.information import Scene, interpolate

Spectrum: TypeAlias = np.ndarray[Any, np.dtype[np.complex64]]

_BINS = 6
_LEAST_FRACTION = 0.15  # of the fixed points; at fewer, mutual information is mostly chance


@dataclass(frozen=True)
class ShiftSearch:
    """One scene made ready for looking at all shifts of the moving scan.

    Attributes:
        step_mm: distance between two shifts along each axis.
        shape: number of shifts along each axis; the Fourier transform's size too.
        fixed: for each bin of the fixed scan, the spectrum of the points that fall into it.
        count: number of fixed points.
        center_mm: (3,) middle of the fixed points, about which the moving scan is turned.
        moving_center_mm: (3,) middle of the moving scan.
        places: (N,) cells of the lattice in which a turned moving scan may have a voxel.
        offsets_mm: (N, 3) where these lie from the moving scan's middle.
        scene: the points and the moving scan.
    """

    step_mm: float
    shape: tuple[int, int, int]
    fixed: Spectrum
    count: int
    center_mm: Points
    moving_center_mm: Points
    places: np.ndarray[Any, np.dtype[np.int64]]
    offsets_mm: Points
    scene: Scene


def prepare_shifts(scene: Scene, step_mm: float) -> ShiftSearch:
    """Put the fixed points on a lattice, by bin.

    Args:
        scene: the points and the moving scan.
        step_mm: lattice spacing.

    Returns:
        What ``best_shift`` needs.
    """
    center = np.asarray((scene.points_mm.min(axis=0) + scene.points_mm.max(axis=0)) / 2.0)
    half = np.ceil(np.abs(scene.points_mm - center).max(axis=0) / step_mm).astype(int)
    moving_center, radius = _moving_sphere(scene)
    moving_half = int(np.ceil(radius / step_mm))
    size = [fft.next_fast_len(int(2 * (extent + moving_half) + 1), real=True) for extent in half]
    shape = (size[0], size[1], size[2])
    cells = np.round((scene.points_mm - center) / step_mm).astype(np.int64) % np.asarray(shape)
    cell, first = np.unique(np.ravel_multi_index(tuple(cells.T), shape), return_index=True)
    bins = (scene.fixed_bins[first] * _BINS) // scene.bins
    maps = np.zeros((_BINS, int(np.prod(shape))), np.float32)
    maps[bins, cell] = 1.0
    spectrum = fft.rfftn(maps.reshape(_BINS, *shape), axes=(1, 2, 3))
    axes = [np.fft.fftfreq(count, 1.0 / count) * step_mm for count in shape]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places = np.flatnonzero((offsets**2).sum(axis=1) <= radius**2)
    fixed = np.conj(spectrum)
    return ShiftSearch(step_mm, shape, fixed, len(cell), center, moving_center, places, offsets[places], scene)


def best_shift(search: ShiftSearch, turn: Matrix) -> Matrix:
    """Find the shift at which a turned moving scan tells most about the fixed one.

    All joint histograms come from cross-correlations of bin by bin maps, after Ofverstedt et al., "Fast
    computation of mutual information in the frequency domain with applications to global multimodal image
    alignment", Pattern Recognition Letters 2022.

    Args:
        search: the scene.
        turn: (3, 3) rotation from the fixed to the moving world.

    Returns:
        The (4, 4) fixed-to-moving transform of RAS points with this rotation and the best shift, to within
        half a step.
    """
    spectrum = fft.rfftn(_moving_maps(search, turn), axes=(1, 2, 3))
    joint = np.empty((_BINS, _BINS, *search.shape), np.float32)
    for fixed_bin in range(_BINS):
        joint[fixed_bin] = fft.irfftn(search.fixed[fixed_bin] * spectrum, search.shape, axes=(1, 2, 3))
    score = _score(np.maximum(joint, 0.0), search.count)
    place = np.asarray(np.unravel_index(int(score.argmax()), search.shape))
    size = np.asarray(search.shape)
    shift = np.where(place > size // 2, place - size, place) * search.step_mm
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = search.moving_center_mm + turn @ (shift - search.center_mm)
    return matrix


def _moving_maps(search: ShiftSearch, turn: Matrix) -> Values:
    """Look the turned moving scan up on the lattice about its center; one map for each bin."""
    scene = search.scene
    indices = apply_affine(scene.world_to_moving, search.offsets_mm @ turn.T + search.moving_center_mm)
    ends = np.asarray(scene.moving.shape) - 1.0
    inside = inside_grid(indices, scene.moving.shape)
    values = interpolate(scene.moving, np.clip(indices[inside], 0.0, ends))
    bins = np.minimum((values * _BINS / scene.bins).astype(np.int64), _BINS - 1)
    maps = np.zeros((_BINS, int(np.prod(search.shape))), np.float32)
    maps[bins, search.places[inside]] = 1.0
    return maps.reshape(_BINS, *search.shape)


def _score(joint: Values, count: int) -> Values:
    """Return mutual information times overlap at every shift from joint counts (bins, bins, ...)."""
    met = joint.sum(axis=(0, 1))
    entropies = (
        _sum_of_logs(joint.reshape(-1, *joint.shape[2:])),
        _sum_of_logs(joint.sum(axis=0)),
        _sum_of_logs(joint.sum(axis=1)),
    )
    information = entropies[0] - entropies[1] - entropies[2] + _sum_of_logs(met[None])
    scores: Values = np.where(met >= _LEAST_FRACTION * count, information / count, -np.inf)
    return scores


def _sum_of_logs(counts: Values) -> Values:
    """Return the sum of c log c over the first axis."""
    total = np.zeros(counts.shape[1:], np.float32)
    for each in counts:
        total += each * np.log(np.maximum(each, 0.5))
    return total


def _moving_sphere(scene: Scene) -> tuple[Points, float]:
    """Return the middle of the moving scan, (3,) in mm, and half its diagonal."""
    to_world = np.asarray(np.linalg.inv(scene.world_to_moving), dtype=np.float64)
    middle = (np.asarray(scene.moving.shape) - 1.0) / 2.0
    radius = float(np.linalg.norm(np.abs(to_world[:3, :3]) @ (np.asarray(scene.moving.shape) / 2.0)))
    return apply_affine(to_world, middle[None])[0], radius
