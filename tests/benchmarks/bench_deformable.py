"""Compare deformable registrations on planted deformations of phantom heads and made-up torsos.

``PYTHONPATH=tests python tests/benchmarks/bench_deformable.py``, with ``OMP_NUM_THREADS`` and
``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS`` at 1: the seconds are those of the processor.

Heads have Gaussian pushes of 8 mm, torsos a breath of 11 to 21 mm and pushes of 4 mm. Every method begins at the true
rigid part, and all take turns in one run. The settings of the rivals were chosen on seed 0; those of medfuse on the
head of seed 1 and on a torso with the plain breath.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from deformable_rivals import PointMap, ants_syn, elastix_bspline, simpleitk_bspline
from made_deformed import DeformedPair, Warp, breathing, bumps, deformed_head, torso_pair

from medfuse.geometry import Points, apply_affine, directions, spacing_mm
from medfuse.phantom import PhantomOptions, make_phantom
from medfuse.registration.affine import register_affine
from medfuse.registration.deformable import register_deformable
from medfuse.registration.jacobian import jacobian_range
from medfuse.registration.warp import move_points

JUDGED_AT_MM = 4.0


def medfuse_affine(pair: DeformedPair) -> PointMap:
    matrix = register_affine(*_scans(pair), pair.start).fixed_to_moving_ras
    return lambda points: apply_affine(matrix, points)


def medfuse_bspline(pair: DeformedPair) -> PointMap:
    displacement = register_deformable(*_scans(pair), pair.start).displacement
    return lambda points: move_points(points, pair.start, displacement)


def medfuse_both(pair: DeformedPair) -> PointMap:
    matrix = register_affine(*_scans(pair), pair.start).fixed_to_moving_ras
    displacement = register_deformable(*_scans(pair), matrix).displacement
    return lambda points: move_points(points, matrix, displacement)


METHODS: dict[str, tuple[Callable[[DeformedPair], PointMap], str]] = {
    "rigid": (lambda pair: lambda points: apply_affine(pair.start, points), "numpy"),
    "medfuse affine": (medfuse_affine, "numpy"),
    "medfuse B-spline": (medfuse_bspline, "numpy"),
    "medfuse affine + B-spline": (medfuse_both, "numpy"),
    "SimpleITK B-spline": (simpleitk_bspline, "SimpleITK"),
    "elastix B-spline": (elastix_bspline, "itk"),
    "ANTs SyN": (ants_syn, "ants"),
}


@dataclass(frozen=True)
class Outcome:
    """What one method did to one pair."""

    errors_mm: Points
    jacobian: tuple[float, float]
    seconds: float


def pairs(seeds: range) -> Iterator[tuple[str, DeformedPair]]:
    """Yield the kind of each pair, and the pair."""
    for seed in seeds:
        head = make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "CT", "PT")))
        push = bumps(8.0, 30.0, 70.0, seed)
        yield "head MR-CT", deformed_head(head, "MR_T1", "CT", push)
        yield "head MR-PET", deformed_head(head, "MR_T1", "PT", push)
        breath = a_breath(seed)
        yield "torso MR-CT", torso_pair("MR", "CT", breath, seed=10 * seed)
        yield "torso CT-PET", torso_pair("CT", "PT", breath, seed=10 * seed + 5)


def a_breath(seed: int) -> Warp:
    """Return a breath of random depth, with a little else."""
    depth = np.random.default_rng(seed).uniform(0.7, 1.3)
    push = bumps(4.0, 40.0, 100.0, seed)
    return lambda points: depth * breathing(points) + push(points)


def tried(method: Callable[[DeformedPair], PointMap], pair: DeformedPair) -> Outcome:
    """Register, then measure errors at the targets and the Jacobian over the fixed scan."""
    started = time.process_time()
    place = method(pair)
    seconds = time.process_time() - started
    errors = np.linalg.norm(place(pair.points) - pair.targets, axis=1)
    return Outcome(errors, _jacobian(place, pair), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    methods = {name: method for name, (method, package) in METHODS.items() if importlib.util.find_spec(package)}
    for name in METHODS.keys() - methods.keys():
        print(f"{name} is left out: install the extra 'baselines'")
    rows: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for kind, pair in pairs(range(options.first_seed, options.first_seed + options.seeds)):
        for name, method in methods.items():
            rows[kind, name].append(tried(method, pair))
            print(f"  {kind}: {name}, {np.median(rows[kind, name][-1].errors_mm):.2f} mm", flush=True)
    print_table(rows)


def print_table(rows: dict[tuple[str, str], list[Outcome]]) -> None:
    print("| pair | method | median mm | 95th percentile mm | Jacobian | CPU seconds |")
    print("|---|---|---|---|---|---|")
    for (kind, name), outcomes in sorted(rows.items(), key=lambda row: row[0][0]):
        errors = np.concatenate([outcome.errors_mm for outcome in outcomes])
        low, high = min(outcome.jacobian[0] for outcome in outcomes), max(outcome.jacobian[1] for outcome in outcomes)
        seconds = np.mean([outcome.seconds for outcome in outcomes])
        middle, most = np.percentile(errors, (50, 95))
        print(f"| {kind} | {name} | {middle:.2f} | {most:.2f} | {low:.2f} to {high:.2f} | {seconds:.1f} |")


def _jacobian(place: PointMap, pair: DeformedPair) -> tuple[float, float]:
    """Return the range over nodes 4 mm apart, all inside the outermost voxel centers of the fixed scan."""
    spacing = spacing_mm(pair.fixed_affine)
    inner = (np.asarray(pair.fixed.shape) - 1.0) * spacing
    counts = np.floor(inner / JUDGED_AT_MM - 0.5).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = directions(pair.fixed_affine) * JUDGED_AT_MM
    affine[:3, 3] = apply_affine(pair.fixed_affine, (inner - (counts - 1) * JUDGED_AT_MM) / 2.0 / spacing)
    nodes = apply_affine(affine, np.indices(counts).reshape(3, -1).T.astype(np.float64))
    field = (place(nodes) - apply_affine(pair.start, nodes)).T.reshape(3, *counts)
    return jacobian_range(torch.from_numpy(field), affine, pair.start)


def _scans(pair: DeformedPair) -> tuple[torch.Tensor, np.ndarray, torch.Tensor, np.ndarray]:
    return pair.fixed, pair.fixed_affine, pair.moving, pair.moving_affine


if __name__ == "__main__":
    main()
