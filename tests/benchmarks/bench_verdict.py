"""Judge hundreds of planted registrations of phantom heads: ``python tests/benchmarks/bench_verdict.py report``.

Limits were chosen on the sets ``calibration``, ``first`` and ``second``; figures are reported on ``report``, whose
heads are others; ``real`` judges the real pairs of ``../shared``, ``voxels`` right ones at several sizes of voxels.
What was made and seen of each case is kept in a folder (``--cache``), so that a run that was broken off goes on, and
limits can be changed without looking again. Empty the folder when the code that looks at the scans has changed.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from verdict_patients import CACHE_VARIABLE
from verdict_pictures import draw_calibration, draw_gallery
from verdict_real import real_table
from verdict_recipes import FAILED_MM, SEEDS, recipes
from verdict_rows import Row, false_alarms, looked_at, row_path, silent_failures
from verdict_voxels import voxel_table

from medfuse.registration.findings import GRADES

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SHARED = Path(__file__).parents[3] / "shared"


def table(rows: list[Row]) -> str:
    """Return the grades by kind of case."""
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row.recipe.kind].append(row)
    lines = [
        "| planted | cases | true error, mm | estimated, mm | pass | warn | fail | silent | false alarms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, members in [*kinds.items(), ("all", rows)]:
        grades = [row.grade for row in members]
        true = [row.true_error_mm for row in members if math.isfinite(row.true_error_mm)]
        shown = f"{np.median(true):.1f}" if true else "-"
        estimated = np.median([row.estimated_error_mm for row in members])
        counts = " | ".join(str(grades.count(grade)) for grade in GRADES)
        silent, alarms = len(silent_failures(members)), len(false_alarms(members))
        lines.append(f"| {kind} | {len(members)} | {shown} | {estimated:.1f} | {counts} | {silent} | {alarms} |")
    return "\n".join(lines)


def factors(rows: list[Row]) -> str:
    """Return estimated over true error, of rigid errors alone and of all that have a true error."""
    bent = ("left-right flip", "tilt", "deformed", "cropped")
    wrong = [row for row in rows if row.true_error_mm > FAILED_MM]
    lines = []
    for name, members in (
        ("rigid error in whole heads", [row for row in wrong if row.recipe.kind not in bent]),
        ("tilted, bent or cropped heads", [row for row in wrong if row.recipe.kind in bent[1:]]),
    ):
        found = [row.estimated_error_mm / row.true_error_mm for row in members]
        low, middle, high = np.percentile(found, (5, 50, 95)) if found else [math.nan] * 3
        lines.append(
            f"estimated over true error beyond {FAILED_MM:g} mm, {name} ({len(found)}): "
            f"median {middle:.2f}, 5 % to 95 % {low:.2f} to {high:.2f}"
        )
    apart = [row.estimated_error_mm - row.true_error_mm for row in rows if row.is_good]
    low, middle, high = np.percentile(apart, (5, 50, 95))
    lines.append(f"estimated less true error, good cases: median {middle:.1f} mm, 5 % to 95 % {low:.1f} to {high:.1f}")
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    """Return the figures that count."""
    failures = [row for row in rows if row.is_failure]
    good = [row for row in rows if row.is_good]
    silent, alarms = silent_failures(rows), false_alarms(rows)
    lines = [
        f"{len(rows)} cases, {len(failures)} of them failures, {len(good)} good",
        f"silent failures: {len(silent)} of {len(failures)}",
        f"false alarms: {len(alarms)} of {len(good)} ({len(alarms) / max(len(good), 1):.1%})",
        factors(rows),
        f"CPU seconds a verdict, with preparing the scans: median {np.median([row.seconds for row in rows]):.1f}",
    ]
    for name, found in (("silent", silent), ("false alarm", alarms)):
        lines += [
            f"{name}: {row.recipe} true {row.true_error_mm:.1f} estimated {row.estimated_error_mm:.1f}: {row.reason}"
            for row in found
        ]
    return "\n".join(lines)


def judged(which: str, jobs: int, known: bool) -> list[Row]:
    """Judge the cases of a set, in an order that mixes the kinds."""
    todo = recipes(which)
    if known:
        todo = [recipe for recipe in todo if row_path(recipe).exists()]
    order = np.random.default_rng(0).permutation(len(todo))
    with ProcessPoolExecutor(jobs) as pool:
        rows = list(pool.map(looked_at, [todo[i] for i in order]))
    return [row for _, row in sorted(zip(order, rows, strict=True), key=lambda pair: int(pair[0]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=(*SEEDS, "real", "voxels"), nargs="?", default="report")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument(
        "--cache", type=Path, help="folder for what was made and seen (default: below the user's cache)"
    )
    parser.add_argument("--known", action="store_true", help="only what was looked at before; no pictures")
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with data/volumes, for real")
    chosen: Any = parser.parse_args()
    if chosen.cache is not None:
        os.environ[CACHE_VARIABLE] = str(chosen.cache)
    if chosen.which == "real":
        print(real_table(chosen.shared / "data" / "volumes"))
        return
    if chosen.which == "voxels":
        print(voxel_table())
        return
    rows = judged(chosen.which, chosen.jobs, chosen.known)
    print(table(rows))
    print(summary(rows))
    if chosen.which == "report" and not chosen.known:
        draw_gallery(chosen.which, IMAGES / "verdict_gallery.png")
        draw_calibration(rows, IMAGES / "verdict_calibration.png")


if __name__ == "__main__":
    main()
