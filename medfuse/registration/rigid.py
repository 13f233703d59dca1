"""Step 2 of 8, register: find the rigid transform that brings the moving volume onto the fixed one."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix, apply_affine
from medfuse.options import RegistrationOptions
from medfuse.progress import Progress, Silent
from medfuse.registration.information import similarity
from medfuse.registration.overlap import check_overlap, inside_fraction
from medfuse.registration.poses import (
    Pose,
    best_first,
    best_of_each_turn,
    displacement_mm,
    prefer_less_motion,
)
from medfuse.registration.presets import Preset, load_preset
from medfuse.registration.refine import refine
from medfuse.registration.scans import Scans, prepare
from medfuse.registration.starts import HEADER, make_starts

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
            came from another start and other sampled points; None if there was no other.
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
) -> RigidRegistration:
    """Find the rigid transform with the most mutual information between two volumes.

    Poses from the headers, the body's and the grid's centers and a grid of rotations are scored on a coarse
    level; the best are refined on finer and finer ones. The same input gives the same transform, bit for
    bit, whatever the number of threads.

    Mutual information after Mattes et al., "PET-CT image registration in the chest using free-form
    deformations", IEEE TMI 2003; the search over starts after Jenkinson and Smith, "A global optimisation
    method for robust affine registration of brain images", Medical Image Analysis 2001.

    Args:
        fixed: (X, Y, Z) values of the fixed volume.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X, Y, Z) values of the moving volume.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        options: method, preset and seed; with method ``"none"`` the headers are trusted.
        progress: who is told how far the search is; None for nobody.

    Returns:
        The transform and the figures that speak for or against it.

    Raises:
        OverlapError: with method ``"none"``, if the two volumes hardly meet.
        RegistrationError: if no pose brings the two together.
        OptionError: if there is no such preset.
    """
    preset = load_preset(options.preset)
    if options.method == "none":
        fixed_shape, moving_shape = _shape(fixed), _shape(moving)
        check_overlap(fixed_shape, fixed_affine_ras, moving_shape, moving_affine_ras)
        scans = prepare(fixed, fixed_affine_ras, moving, moving_affine_ras, preset)
        return _conclude(scans, [_score(scans, -1, HEADER, _HEADER)], 1, moving_shape, moving_affine_ras)
    listener = progress if progress is not None else Silent()
    scans = prepare(fixed, fixed_affine_ras, moving, moving_affine_ras, preset)
    found, tried = _search(scans, preset, options.seed, listener)
    result = _conclude(scans, found, tried, _shape(moving), moving_affine_ras)
    if result.overlap_fraction < preset.smallest_overlap or result.similarity_end < _LEAST_SIMILARITY:
        msg = (
            f"no pose was found at which the moving volume covers the fixed head "
            f"(best overlap {result.overlap_fraction:.0%}); check that both volumes show the same region"
        )
        raise RegistrationError(msg)
    return result


def _search(scans: Scans, preset: Preset, seed: int, listener: Progress) -> tuple[list[Pose], int]:
    """Score all starts, refine the best level by level; return the last level's poses, choice first."""
    starts = make_starts(scans.center_pairs, preset.rotation_degrees)
    scored = [_score(scans, 0, start.name, start.fixed_to_moving_ras) for start in starts]
    poses = [scored[0], *best_of_each_turn(scored[1:])]
    done, last = 0, len(preset.levels) - 1
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for number, kept in enumerate(preset.kept):
            poses = poses[:kept] if number == last else _keep_header(poses, kept)
            climb = partial(_climb, scans, preset, number)
            refined = []
            for pose in pool.map(climb, poses, [1000 * seed + place for place in range(len(poses))]):
                refined.append(pose)
                done += 1
                listener.advance(done, sum(preset.kept))
            choice = prefer_less_motion(refined, scans.head_points_mm, preset.basin_mm, preset.tie)
            poses = [choice, *(pose for pose in best_first(refined) if pose is not choice)]
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits for the running climbs only
    return poses, len(starts)


def _climb(scans: Scans, preset: Preset, number: int, pose: Pose, seed: int) -> Pose:
    """Refine a pose; keep it as it was if this level's score says that it was better so."""
    matrix = pose.fixed_to_moving_ras
    refined = refine(scans.pairs[number], matrix, preset.levels[number], preset.bins, seed)
    before, after = (_score(scans, number, pose.name, candidate) for candidate in (matrix, refined))
    return max(after, before, key=lambda candidate: candidate.score)


def _keep_header(poses: list[Pose], count: int) -> list[Pose]:
    """Keep the first poses, and the one that came from the headers whatever its place."""
    kept = poses[:count]
    header = [pose for pose in poses if pose.name == HEADER]
    return kept if any(pose is header[0] for pose in kept) else [*kept[:-1], *header]


def _score(scans: Scans, number: int, name: str, matrix: Matrix) -> Pose:
    return Pose(name, matrix, *similarity(scans.scenes[number], matrix))


def _conclude(
    scans: Scans, poses: list[Pose], tried: int, moving_shape: tuple[int, int, int], moving_affine_ras: Matrix
) -> RigidRegistration:
    best, points = poses[0], scans.head_points_mm
    matrix = best.fixed_to_moving_ras
    agreement = displacement_mm(matrix, poses[1].fixed_to_moving_ras, points) if len(poses) > 1 else None
    return RigidRegistration(
        fixed_to_moving_ras=matrix,
        similarity_start=_score(scans, -1, HEADER, _HEADER).similarity,
        similarity_end=best.similarity,
        starts_tried=tried,
        best_start=best.name,
        overlap_fraction=inside_fraction(apply_affine(matrix, points), moving_shape, moving_affine_ras),
        agreement_mm=agreement,
        moved_mm=displacement_mm(matrix, _HEADER, points),
    )


def _shape(volume: torch.Tensor) -> tuple[int, int, int]:
    return volume.shape[0], volume.shape[1], volume.shape[2]
