"""Two volumes made ready for the search: clipped, on a pyramid in mm, with body masks and score points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medfuse.geometry import Matrix, Points, apply_affine, center_mm
from medfuse.registration.body import find_body, onto, to_mask, widen
from medfuse.registration.images import Image, Values, affine_of, to_array
from medfuse.registration.information import Scene, interpolate, thin
from medfuse.registration.presets import Preset
from medfuse.registration.pyramid import clipped_pyramid
from medfuse.registration.refine import Pair

_MOST_SCORE_POINTS = 10_000
_MOST_HEAD_POINTS = 5_000


@dataclass(frozen=True)
class Scans:
    """Everything the search looks at.

    Attributes:
        pairs: the two scans on each level, coarsest first.
        head_points_mm: (N, 3) points of the fixed body in RAS mm.
        center_pairs: for each way to find it, the center (3,) of the fixed and of the moving head.
        rims: for each level, mask of the fixed body and of its rim, where slopes are climbed.
    """

    pairs: tuple[Pair, ...]
    head_points_mm: Points
    center_pairs: dict[str, tuple[Points, Points]]
    rims: tuple[Image, ...]


def prepare(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    preset: Preset,
) -> Scans:
    """Make two volumes ready for the search.

    Args:
        fixed: (X, Y, Z).
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X, Y, Z).
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        preset: levels, bins and margins.

    Returns:
        The scans on every level.
    """
    spacings = [level.spacing_mm for level in preset.levels]
    levels = [*spacings, preset.body_level_mm]
    fixed_levels = clipped_pyramid(fixed, fixed_affine_ras, preset.clip_percentiles, levels)
    moving_levels = clipped_pyramid(moving, moving_affine_ras, preset.clip_percentiles, levels)
    fixed_body = find_body(fixed_levels[preset.body_level_mm])
    moving_body = find_body(moving_levels[preset.body_level_mm])
    region, *rims = widen(fixed_body.mask, preset.margin_mm, *preset.rim_mm)
    center = fixed_body.center_mm
    radius = float(np.sqrt(((fixed_body.points_mm - center) ** 2).sum(axis=1).mean()))
    pairs = []
    for spacing in spacings:
        image, other = fixed_levels[spacing], moving_levels[spacing]
        pairs.append(Pair(image, onto(region, image), other, center, max(radius, 1.0)))
    centers = {
        "body": (center, moving_body.center_mm),
        "grid": (
            center_mm(fixed_affine_ras, (fixed.shape[0], fixed.shape[1], fixed.shape[2])),
            center_mm(moving_affine_ras, (moving.shape[0], moving.shape[1], moving.shape[2])),
        ),
        "head": (fixed_body.head_center_mm, moving_body.head_center_mm),
    }
    every = -(-len(fixed_body.points_mm) // _MOST_HEAD_POINTS)
    head_points = fixed_body.points_mm[::every]  # a lattice: whoever looks inside the head relies on its steps
    return Scans(tuple(pairs), head_points, centers, tuple(rims))


def slope_of(scans: Scans, number: int, bins: int, samples: int, seed: int = 0) -> Scene:
    """Take voxels of the fixed body and its rim, at their centers: there nothing of the fixed scan is blurred.

    Args:
        scans: the two scans.
        number: of the level.
        bins: histogram bins of each scan.
        samples: at most this many voxels are taken.
        seed: which of the voxels come first.
    """
    pair = scans.pairs[number]
    voxels = _voxels(onto(scans.rims[number], pair.fixed), samples, seed)
    array = to_array(pair.fixed)
    values = _to_bins(array[tuple(voxels.T)], array, bins)
    return _compared(pair.fixed, voxels.astype(np.float64), values, pair.moving, bins)


def scene_of(scans: Scans, number: int, bins: int) -> Scene:
    """Take points of the fixed body and the air around, shaken within their voxels lest two equal grids attract.

    Args:
        scans: the two scans.
        number: of the level.
        bins: histogram bins of each scan.
    """
    pair = scans.pairs[number]
    voxels = _voxels(pair.mask, _MOST_SCORE_POINTS)
    shaken = voxels + np.random.default_rng(0).uniform(-0.5, 0.5, voxels.shape)
    array = to_array(pair.fixed)
    indices = np.clip(shaken, 0.0, np.asarray(array.shape) - 1.0)
    return _compared(pair.fixed, indices, _to_bins(interpolate(array, indices), array, bins), pair.moving, bins)


def _voxels(mask: Image, most: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return about this many voxels of a mask, (N, 3), evenly taken."""
    inside = to_mask(mask)
    return np.stack(np.unravel_index(thin(np.flatnonzero(inside), most, seed), inside.shape), axis=-1)


def _compared(fixed: Image, indices: Points, values: np.ndarray[Any, Any], moving: Image, bins: int) -> Scene:
    """Put points of the fixed scan, with its values there in bins, beside the moving scan."""
    array = to_array(moving)
    return Scene(
        points_mm=apply_affine(affine_of(fixed), indices),
        fixed_bins=np.rint(values).astype(np.int64),
        moving=_to_bins(array, array, bins),
        world_to_moving=np.asarray(np.linalg.inv(affine_of(moving)), dtype=np.float64),
        bins=bins,
    )


def _to_bins(values: np.ndarray[Any, Any], whole: Values, bins: int) -> Values:
    """Scale values to 0 .. bins - 1, from the lowest of the whole scan to its highest."""
    low, high = float(whole.min()), float(whole.max())
    width = max(high - low, float(np.finfo(np.float32).tiny))
    return np.ascontiguousarray(np.clip((values - low) / width * (bins - 1), 0, bins - 1), dtype=np.float32)
