"""The search for a pose: many rough ones first, then fewer and finer ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from medfuse.geometry import Matrix, apply_affine
from medfuse.progress import Progress
from medfuse.registration.information import Scene, similarity
from medfuse.registration.overlap import inside_fraction
from medfuse.registration.peak import Lever, climb_to_peak
from medfuse.registration.poses import Pose, best_first, best_of_each_turn, displacement_mm, prefer_less_motion
from medfuse.registration.presets import Preset
from medfuse.registration.scans import Scans, scene_of, slope_of
from medfuse.registration.shifts import best_shift, prepare_shifts
from medfuse.registration.starts import HEADER, Start, make_starts, turns


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Attributes:
        scans: the two scans on every level.
        preset: the numbers.
        seed: seed of the sampled points.
        listener: who is told how far the search is.
    """

    scans: Scans
    preset: Preset
    seed: int
    listener: Progress

    @cached_property
    def _finest(self) -> Scene:
        """What a pose on the last level is scored by."""
        return scene_of(self.scans, -1, self.preset.bins)

    @cached_property
    def _slopes(self) -> tuple[Scene, ...]:
        """What is climbed on each level; on all but the last one poses are scored by it too."""
        levels = zip(self.preset.levels, self.preset.slope_bins, strict=False)
        return tuple(
            slope_of(self.scans, number, bins, level.samples, self.seed) for number, (level, bins) in enumerate(levels)
        )

    def everywhere(self) -> tuple[list[Pose], int]:
        """Search all poses.

        Returns:
            The last level's poses, choice first, and how many were scored as a start.
        """
        starts = make_starts(self.scans.center_pairs, self.preset.rotation_degrees)
        poses = self._climb_from(starts)
        if not self._doubtful(poses):
            return poses, len(starts)
        more = [*self._best_shifts(), *(Start(pose.name, pose.fixed_to_moving_ras) for pose in poses)]
        return self._climb_from([Start(HEADER, np.eye(4)), *more]), len(starts) + len(more)

    def near(self, start: Start) -> list[Pose]:
        """Climb from one start, and stay there unless moving gains clearly.

        Returns:
            The choice first, then the other one.
        """
        before = self.score(-1, start.name, start.fixed_to_moving_ras)
        pose = before
        for number in range(len(self.preset.levels)):
            pose = self._climb(number, self._slopes[number], pose)
        gains = pose.score * (1.0 - self.preset.tie) > before.score
        return [pose, before] if gains else [before, pose]

    def score(self, number: int, name: str, matrix: Matrix) -> Pose:
        """Score a transform on a level; -1 for the last one."""
        last = number in (-1, len(self.preset.levels) - 1)
        return Pose(name, matrix, *similarity(self._finest if last else self._slopes[number], matrix))

    def _climb_from(self, starts: Sequence[Start]) -> list[Pose]:
        """Score starts, the header's first, and refine the best level by level; return the choice first."""
        preset = self.preset
        scored = [self.score(0, start.name, start.fixed_to_moving_ras) for start in starts]
        poses = [scored[0], *best_of_each_turn(scored[1:])]
        done, last, resting = 0, len(preset.kept) - 1, list[Pose]()
        with _threads() as mapping:
            for number, kept in enumerate(preset.kept):
                climbing = _keep_header(poses, kept)
                if number == last:
                    climbing, resting = self._apart(poses[:kept])
                refined = []
                for pose in mapping(partial(self._climb, number, self._slopes[number]), climbing):
                    refined.append(pose)
                    done += 1
                    self.listener.advance(done, sum(preset.kept))
                done += len(resting)
                choice = prefer_less_motion(refined, self.scans.head_points_mm, preset.basin_mm, preset.tie)
                poses = [choice, *(pose for pose in best_first(refined) if pose is not choice)]
                poses += [_carried_along(pose, climbing[0], refined[0]) for pose in resting]
        if resting:
            self.listener.advance(done, sum(preset.kept))
        return poses

    def _apart(self, poses: Sequence[Pose]) -> tuple[list[Pose], list[Pose]]:
        """Part the poses into those worth a climb of their own, and those that would end where the first does."""
        first, head = poses[0].fixed_to_moving_ras, self.scans.head_points_mm
        climbing, resting = [poses[0]], list[Pose]()
        for pose in poses[1:]:
            apart = displacement_mm(first, pose.fixed_to_moving_ras, head) > self.preset.settled_mm
            (climbing if apart else resting).append(pose)
        return climbing, resting

    def _climb(self, number: int, slope: Scene, pose: Pose) -> Pose:
        """Refine a pose on a level."""
        pair = self.scans.pairs[number]
        lever = Lever(pair.center_mm, pair.radius_mm)
        peak = climb_to_peak(slope, pose.fixed_to_moving_ras, lever, self.preset.levels[number])
        return self.score(number, pose.name, peak)

    def _doubtful(self, poses: Sequence[Pose]) -> bool:
        """Tell whether the starts that led farthest end apart, or the moving scan misses much of the head."""
        scene, head, best = self._finest, self.scans.head_points_mm, poses[0].fixed_to_moving_ras
        apart = displacement_mm(best, poses[-1].fixed_to_moving_ras, head)
        affine = np.asarray(np.linalg.inv(scene.world_to_moving), dtype=np.float64)
        covered = inside_fraction(apply_affine(best, head), scene.moving.shape, affine)
        return apart > self.preset.basin_mm or covered < self.preset.enough_overlap

    def _best_shifts(self) -> list[Start]:
        """For each of many rotations, take the shift with the most mutual information of all."""
        ready = prepare_shifts(scene_of(self.scans, 0, self.preset.bins), self.preset.shift_step_mm)
        rotations = turns(self.preset.turn_spacing_degrees, self.preset.largest_turn_degrees)
        with _threads() as mapping:
            found = list(mapping(partial(best_shift, ready), rotations))
        return [Start(f"every shift {number}", matrix) for number, matrix in enumerate(found)]


@contextmanager
def _threads() -> Iterator[Callable[..., Iterable[Any]]]:
    """Give something that maps like ``map``, on as many threads as PyTorch may take."""
    count = torch.get_num_threads()
    if count == 1:
        yield map
        return
    pool = ThreadPoolExecutor(count)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted search waits for the running climbs only


def _keep_header(poses: list[Pose], count: int) -> list[Pose]:
    """Keep the first poses, and the one that came from the headers whatever its place."""
    kept = poses[:count]
    header = [pose for pose in poses if pose.name == HEADER]
    return kept if any(pose is header[0] for pose in kept) else [*kept[:-1], *header]


def _carried_along(pose: Pose, before: Pose, after: Pose) -> Pose:
    """Move a pose as another one was moved, so that they stay as far apart as they were."""
    climbed = np.linalg.inv(before.fixed_to_moving_ras) @ after.fixed_to_moving_ras
    return replace(pose, fixed_to_moving_ras=np.asarray(pose.fixed_to_moving_ras @ climbed, dtype=np.float64))
