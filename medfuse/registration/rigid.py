"""Step 2 of 8, register: find the rigid transform that brings the moving volume onto the fixed one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix, apply_affine
from medfuse.options import STILL, RegistrationOptions
from medfuse.progress import Progress, Silent
from medfuse.registration.overlap import check_overlap, inside_fraction
from medfuse.registration.poses import Pose, displacement_mm
from medfuse.registration.presets import load_preset
from medfuse.registration.scans import prepare
from medfuse.registration.search import Search
from medfuse.registration.starts import GIVEN, HEADER, Start

_HEADER = np.eye(4)
_LEAST_SIMILARITY = 1e-3  # nats; rounding alone leaves a little to a volume of one value


@dataclass(frozen=True)
class RigidRegistration:
    """Where the moving volume was found, and first signs of whether to believe it.

    Attributes:
        fixed_to_moving_ras: (4, 4) transform that takes RAS points of the fixed volume, in mm, to those of
            the moving one.
        similarity_start: mutual information in nats under the headers as they are.
        similarity_end: the same under the transform found.
        starts_tried: number of poses that were scored as a start.
        best_start: name of the start that led to the transform.
        overlap_fraction: fraction 0 .. 1 of the fixed head that lies inside the moving scan.
        agreement_mm: mean distance over the fixed head between the best result and the next best one, which
            came from another start; where they had met before the finest level, how far apart they were then;
            None if there was no other.
        moved_mm: mean distance over the fixed head by which the transform departs from the headers.
    """

    fixed_to_moving_ras: Matrix
    similarity_start: float
    similarity_end: float
    starts_tried: int
    best_start: str
    overlap_fraction: float
    agreement_mm: float | None
    moved_mm: float


def register_rigid(
    fixed: torch.Tensor,
    fixed_affine_ras: Matrix,
    moving: torch.Tensor,
    moving_affine_ras: Matrix,
    options: RegistrationOptions,
    progress: Progress | None = None,
    start_ras: Matrix | None = None,
    same_frame: bool = False,
) -> RigidRegistration:
    """Find the rigid transform with the most mutual information between two volumes.

    Poses from the headers, the body's and the grid's centers and a grid of rotations are scored on a coarse
    level; the best are refined on finer and finer ones. If two of them end apart, or much of the fixed head
    lies outside the moving scan, every shift under many more rotations is searched too. The same input gives
    the same transform, bit for bit, whatever the number of threads.

    Mutual information after Mattes et al., "PET-CT image registration in the chest using free-form
    deformations", IEEE TMI 2003; the search over starts after Jenkinson and Smith, "A global optimisation
    method for robust affine registration of brain images", Medical Image Analysis 2001.

    Args:
        fixed: (X, Y, Z) values of the fixed volume.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X, Y, Z) values of the moving volume.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        options: method, preset and seed; with ``"none"`` and ``"verify"`` the volumes stay where they are.
        progress: who is told how far the search is; None for nobody.
        start_ras: (4, 4) transform to set out from, or to keep if nothing moves; None for the headers and, with
            method ``"rigid"``, for a search over all poses.
        same_frame: the two volumes share one frame of reference; then the headers are right unless moving the
            volume gains clearly.

    Returns:
        The transform and the figures that speak for or against it.

    Raises:
        OverlapError: with method ``"none"`` or ``"verify"``, if the two volumes hardly meet.
        RegistrationError: if no pose brings the two together.
        OptionError: if there is no such preset.
    """
    preset = load_preset(options.preset)
    given = start_ras if start_ras is not None else _HEADER
    if options.method in STILL:
        check_overlap(_shape(fixed), fixed_affine_ras, _shape(moving), moving_affine_ras, given)
    listener = progress if progress is not None else Silent()
    scans = prepare(fixed, fixed_affine_ras, moving, moving_affine_ras, preset)
    search = Search(scans, preset, options.seed, listener)
    found, tried = _search(search, options, given, start_ras is not None, same_frame)
    result = _conclude(search, found, tried, _shape(moving), moving_affine_ras)
    lost = result.overlap_fraction < preset.smallest_overlap or result.similarity_end < _LEAST_SIMILARITY
    if lost and options.method not in STILL:
        msg = (
            f"no pose was found at which the moving volume covers the fixed head "
            f"(best overlap {result.overlap_fraction:.0%}); check that both volumes show the same region"
        )
        raise RegistrationError(msg)
    return result


def _search(
    search: Search, options: RegistrationOptions, start_ras: Matrix, given: bool, same_frame: bool
) -> tuple[list[Pose], int]:
    """Search as far as the options and the headers ask for; return the poses, choice first, and the starts tried."""
    name = GIVEN if given else HEADER
    if options.method in STILL:
        return [search.score(-1, name, start_ras)], 1
    if given or same_frame:
        return search.near(Start(name, start_ras)), 1
    return search.everywhere()


def _conclude(
    search: Search, poses: list[Pose], tried: int, moving_shape: tuple[int, int, int], moving_affine_ras: Matrix
) -> RigidRegistration:
    best, points = poses[0], search.scans.head_points_mm
    matrix = best.fixed_to_moving_ras
    agreement = displacement_mm(matrix, poses[1].fixed_to_moving_ras, points) if len(poses) > 1 else None
    return RigidRegistration(
        fixed_to_moving_ras=matrix,
        similarity_start=search.score(-1, HEADER, _HEADER).similarity,
        similarity_end=best.similarity,
        starts_tried=tried,
        best_start=best.name,
        overlap_fraction=inside_fraction(apply_affine(matrix, points), moving_shape, moving_affine_ras),
        agreement_mm=agreement,
        moved_mm=displacement_mm(matrix, _HEADER, points),
    )


def _shape(volume: torch.Tensor) -> tuple[int, int, int]:
    return volume.shape[0], volume.shape[1], volume.shape[2]
