"""Two scans, compared at points of the fixed one wherever a map takes them, with the pull on every point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix, Points, apply_affine, inside_grid
from medfuse.registration.body import Mask, find_body, onto, to_mask, widen
from medfuse.registration.images import Image, Values, affine_of, to_array
from medfuse.registration.parzen import Bins, Samples
from medfuse.registration.pyramid import clipped_pyramid
from medfuse.registration.shades import shades

_FEWEST_POINTS = 100
_LEAST_FRACTION = 0.1

# Takes the points of some voxels, (N, 3) in fixed RAS mm, and their numbers in the lattice, (N,), to moving RAS mm.
Map = Callable[[Points, Bins], Points]


@dataclass(frozen=True)
class Sources:
    """The two scans on one level of the pyramid.

    Attributes:
        fixed: (X, Y, Z) shades of the fixed scan, 0 to bins - 1.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        compared: (X, Y, Z) mask of the fixed voxels that may be compared.
        moving: (X', Y', Z') shades of the moving scan.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        bins: number of bins.
    """

    fixed: Values
    fixed_affine_ras: Matrix
    compared: Mask
    moving: Values
    moving_affine_ras: Matrix
    bins: int

    @property
    def volume_mm3(self) -> float:
        """How much of the patient is compared."""
        return float(self.compared.sum() * abs(np.linalg.det(self.fixed_affine_ras[:3, :3])))


@dataclass(frozen=True)
class Comparison:
    """The points at which two scans are compared.

    Attributes:
        voxels: (N,) their numbers in the fixed lattice.
        points_mm: (N, 3) where they lie in the fixed world, RAS mm.
        fixed_bins: (N,) bins of the fixed scan there.
        sources: the two scans.
    """

    voxels: Bins
    points_mm: Points
    fixed_bins: Bins
    sources: Sources

    def score(self, moved_mm: Points) -> tuple[float, Points]:
        """Compare the scans under a map.

        Args:
            moved_mm: (N, 3) where the map takes the points, in the moving world, RAS mm.

        Returns:
            The mutual information in nats, and (N, 3) its derivatives by the positions, in nats/mm.
        """
        to_index = np.asarray(np.linalg.inv(self.sources.moving_affine_ras), dtype=np.float64)
        samples = Samples(moved_mm, self.fixed_bins, self.sources.moving, self.sources.bins)
        information, forces = samples.forces(to_index)
        return information, np.einsum("na,ai->ni", forces, to_index[:3, :3])


def compare(sources: Sources, place: Map, most: int) -> Comparison:
    """Choose points, evenly spread, that a map takes into the moving scan.

    A point that a later map takes out of it is compared with the border there. So the number of points stays,
    and leaving the scan does not pay.

    Args:
        sources: the two scans.
        place: the map to begin with.
        most: at most this many points are taken.

    Returns:
        The points.

    Raises:
        RegistrationError: if hardly any point lies inside, or the moving scan is a single slice.
    """
    if min(sources.moving.shape) < 2:
        msg = "the moving volume is a single slice, which cannot be stretched or deformed; register it rigidly"
        raise RegistrationError(msg)
    voxels = np.flatnonzero(sources.compared)
    indices = np.stack(np.unravel_index(voxels, sources.compared.shape), axis=-1).astype(np.float64)
    points = apply_affine(sources.fixed_affine_ras, indices)
    to_index = np.asarray(np.linalg.inv(sources.moving_affine_ras), dtype=np.float64)
    there = apply_affine(to_index, place(points, voxels))
    inside = inside_grid(there, sources.moving.shape)
    if inside.sum() < max(_FEWEST_POINTS, _LEAST_FRACTION * len(inside)):
        msg = (
            f"the moving volume covers {inside.mean() if inside.size else 0.0:.0%} of the fixed patient, too little to "
            f"stretch or deform by; register rigidly first, or check that both show the same region"
        )
        raise RegistrationError(msg)
    voxels, points = voxels[inside], points[inside]
    every = max(1, -(-len(voxels) // most))
    voxels, points = voxels[::every], points[::every]
    bins = np.rint(sources.fixed.ravel()[voxels]).astype(np.int64)
    return Comparison(voxels, points, bins, sources)


@dataclass(frozen=True)
class Preparation:
    """How volumes are made ready.

    Attributes:
        bins: histogram bins per scan.
        rank_share: how much the bins follow ranks, 0 to 1.
        clip_percentiles: values outside these percentiles of a scan are clipped.
        margin_mm: how far around the fixed body voxels are compared.
        body_level_mm: voxel spacing at which the body is sought.
    """

    bins: int
    rank_share: float
    clip_percentiles: tuple[float, float]
    margin_mm: float
    body_level_mm: float


def prepare_sources(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    spacings_mm: Sequence[float],
    how: Preparation,
) -> dict[float, Sources]:
    """Make two volumes ready on each level of a pyramid.

    Args:
        fixed: (X, Y, Z).
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X', Y', Z').
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        spacings_mm: the levels.
        how: bins, clipping and margins.

    Returns:
        The scans by level.
    """
    levels = [*spacings_mm, how.body_level_mm]
    fixed_levels = clipped_pyramid(fixed, fixed_affine_ras, how.clip_percentiles, levels)
    moving_levels = clipped_pyramid(moving, moving_affine_ras, how.clip_percentiles, levels)
    fixed_body = find_body(fixed_levels[how.body_level_mm]).mask
    moving_body = find_body(moving_levels[how.body_level_mm]).mask
    (region,) = widen(fixed_body, how.margin_mm)
    return {
        spacing: Sources(
            shades(to_array(fixed_levels[spacing]), _on(fixed_body, fixed_levels[spacing]), how.bins, how.rank_share),
            affine_of(fixed_levels[spacing]),
            _on(region, fixed_levels[spacing]),
            shades(
                to_array(moving_levels[spacing]), _on(moving_body, moving_levels[spacing]), how.bins, how.rank_share
            ),
            affine_of(moving_levels[spacing]),
            how.bins,
        )
        for spacing in set(spacings_mm)
    }


def _on(mask: Image, image: Image) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return to_mask(onto(mask, image)).copy()
