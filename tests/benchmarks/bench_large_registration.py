"""How long the registration and its verdict take at clinical size, beside the textbook recipe.

    python tests/benchmarks/bench_large_registration.py [--repeats 3] [--threads 2]

A phantom MR and CT are brought onto 256 x 256 x 150 voxels, and the moving one is turned by 20 degrees and shifted by
20 mm. The methods take turns; medians are printed, with the ratio to the textbook recipe and the error.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.evaluation.registration_rivals import RIVALS
from medfuse.evaluation.registration_subjects import Study
from medfuse.geometry import Matrix
from medfuse.metrics.alignment import target_registration_error_mm
from medfuse.phantom import PhantomOptions, make_phantom
from medfuse.registration.native import without_loops
from medfuse.registration.resample import resample_to
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.verdict import judge

SHAPE = (256, 256, 150)
BY_NUMPY = "medfuse, without compiled loops"
DEGREES, SHIFT_MM = (12.0, -12.0, 10.0), (12.0, -12.0, 10.0)


def large_study() -> Study:
    """Return an MR and a CT of one phantom head, each of ``SHAPE``, with a known motion between them."""
    made = make_phantom(PhantomOptions(seed=7, volumes=("MR_T1", "CT")))
    truth, points = made.fixed_to_moving_ras("MR_T1", "CT"), made.head_points_mm("MR_T1")
    scans: list[tuple[torch.Tensor, Matrix]] = []
    for name in ("MR_T1", "CT"):
        volume = made.volumes[name]
        affine = np.asarray(volume.affine, dtype=np.float64)
        steps = np.diag([*(np.asarray(volume.shape[1:]) / SHAPE), 1.0])
        steps[:3, 3] = (np.diag(steps)[:3] - 1.0) / 2.0
        values, _ = resample_to(volume.as_tensor()[0], affine, SHAPE, affine @ steps, np.eye(4))
        scans.append((values, affine @ steps))
    center = points.mean(axis=0)
    moved = about_centers(rotation(np.radians(DEGREES)), center, center + SHIFT_MM)
    (fixed, fixed_affine), (moving, moving_affine) = scans
    study = Study(fixed, fixed_affine, moving, moving_affine, truth, points)
    return replace(study, moving_affine_ras=moved @ moving_affine, fixed_to_moving_ras=moved @ truth)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds that something takes on the wall's clock."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> None:
    """Time the methods in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(given.threads)
    torch.set_num_threads(given.threads)
    study = large_study()
    pair = (study.fixed, study.fixed_affine_ras, study.moving, study.moving_affine_ras)
    matrices: dict[str, Matrix] = {}

    def found_by(name: str) -> None:
        with without_loops() if name == BY_NUMPY else nullcontext():
            matrices[name] = RIVALS[name.split(",")[0]](study, 1, given.threads).fixed_to_moving_ras

    names = ("medfuse", BY_NUMPY, "textbook")
    work: dict[str, Callable[[], object]] = {name: lambda name=name: found_by(name) for name in names}
    work["verdict"] = lambda: judge(*pair, study.fixed_to_moving_ras)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(given.repeats):
        for name, job in work.items():
            seconds[name].append(seconds_of(job))
    textbook = float(np.median(seconds["textbook"]))
    print(f"{' x '.join(map(str, SHAPE))} voxels, {given.threads} threads, median of {given.repeats}")
    for name in work:
        median = float(np.median(seconds[name]))
        error = ""
        if name in matrices:
            left = target_registration_error_mm(matrices[name], study.fixed_to_moving_ras, study.points_mm)
            error = f", mean error {left.mean_mm:.2f} mm"
        print(f"{name}: {median:.1f} s, {median / textbook:.2f} x textbook{error}")


if __name__ == "__main__":
    main()
