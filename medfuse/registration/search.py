"""The search for a pose: many rough ones first, then fewer and finer ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from medfuse.geometry import Matrix, apply_affine
from medfuse.progress import Progress
from medfuse.registration.information import similarity
from medfuse.registration.overlap import inside_fraction
from medfuse.registration.poses import Pose, best_first, best_of_each_turn, displacement_mm, prefer_less_motion
from medfuse.registration.presets import Preset
from medfuse.registration.refine import refine
from medfuse.registration.scans import Scans
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
            pose = self._climb(number, pose, 1000 * self.seed + number)
        gains = pose.score * (1.0 - self.preset.tie) > before.score
        return [pose, before] if gains else [before, pose]

    def score(self, number: int, name: str, matrix: Matrix) -> Pose:
        """Score a transform on a level."""
        return Pose(name, matrix, *similarity(self.scans.scenes[number], matrix))

    def _climb_from(self, starts: Sequence[Start]) -> list[Pose]:
        """Score starts, the header's first, and refine the best level by level; return the choice first."""
        preset = self.preset
        scored = [self.score(0, start.name, start.fixed_to_moving_ras) for start in starts]
        poses = [scored[0], *best_of_each_turn(scored[1:])]
        done, last = 0, len(preset.levels) - 1
        pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        try:
            for number, kept in enumerate(preset.kept):
                poses = poses[:kept] if number == last else _keep_header(poses, kept)
                seeds = [1000 * self.seed + place for place in range(len(poses))]
                refined = []
                for pose in pool.map(partial(self._climb, number), poses, seeds):
                    refined.append(pose)
                    done += 1
                    self.listener.advance(done, sum(preset.kept))
                choice = prefer_less_motion(refined, self.scans.head_points_mm, preset.basin_mm, preset.tie)
                poses = [choice, *(pose for pose in best_first(refined) if pose is not choice)]
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupted search waits for the running climbs only
        return poses

    def _climb(self, number: int, pose: Pose, seed: int) -> Pose:
        """Refine a pose; keep it as it was if this level's score says that it was better so."""
        matrix = pose.fixed_to_moving_ras
        refined = refine(self.scans.pairs[number], matrix, self.preset.levels[number], self.preset.bins, seed)
        before, after = (self.score(number, pose.name, candidate) for candidate in (matrix, refined))
        return max(after, before, key=lambda candidate: candidate.score)

    def _doubtful(self, poses: Sequence[Pose]) -> bool:
        """Tell whether the starts that led farthest end apart, or the moving scan misses much of the head."""
        scene, head, best = self.scans.scenes[-1], self.scans.head_points_mm, poses[0].fixed_to_moving_ras
        apart = displacement_mm(best, poses[-1].fixed_to_moving_ras, head)
        affine = np.asarray(np.linalg.inv(scene.world_to_moving), dtype=np.float64)
        covered = inside_fraction(apply_affine(best, head), scene.moving.shape, affine)
        return apart > self.preset.basin_mm or covered < self.preset.enough_overlap

    def _best_shifts(self) -> list[Start]:
        """For each of many rotations, take the shift with the most mutual information of all."""
        ready = prepare_shifts(self.scans.scenes[0], self.preset.shift_step_mm)
        rotations = turns(self.preset.turn_spacing_degrees, self.preset.largest_turn_degrees)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            found = list(pool.map(partial(best_shift, ready), rotations))
        return [Start(f"every shift {number}", matrix) for number, matrix in enumerate(found)]


def _keep_header(poses: list[Pose], count: int) -> list[Pose]:
    """Keep the first poses, and the one that came from the headers whatever its place."""
    kept = poses[:count]
    header = [pose for pose in poses if pose.name == HEADER]
    return kept if any(pose is header[0] for pose in kept) else [*kept[:-1], *header]
