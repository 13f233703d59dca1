"""Judge hundreds of planted registrations of phantom heads: ``python tests/benchmarks/bench_verdict.py report``.

Limits were chosen on the set ``calibration``; figures are reported on ``report``, whose heads are others. What was
seen of each case is kept in a folder, so that a run that was broken off goes on, and limits can be changed without
looking again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from verdict_cases import FAILED_MM, Recipe, make_case, recipes
from verdict_patients import CACHE

from medfuse.registration.evidence import Evidence
from medfuse.registration.findings import GRADES, find
from medfuse.registration.limits import load_limits
from medfuse.registration.resample import resample_to
from medfuse.registration.verdict import estimate_error, judge
from medfuse.report.planes import canonical, canonical_spacing, plane_picture

mpl.use("Agg")

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLORS = {"pass": "#2a9d8f", "warn": "#e9a23b", "fail": "#c1443c"}
SHOWN_MOST_MM = 150.0


@dataclasses.dataclass(frozen=True)
class Row:
    """One case judged."""

    recipe: Recipe
    true_error_mm: float
    is_failure: bool
    is_good: bool
    evidence: Evidence
    seconds: float

    @property
    def estimated_error_mm(self) -> float:
        """The estimate, by the limits of today."""
        return estimate_error(self.evidence, load_limits())

    @property
    def grade(self) -> str:
        """The grade, by the limits of today."""
        return find(self.evidence, self.estimated_error_mm, load_limits(), rigid=True)[0].grade

    @property
    def reason(self) -> str:
        """The gravest reason."""
        return find(self.evidence, self.estimated_error_mm, load_limits(), rigid=True)[0].sentence


def looked_at(recipe: Recipe) -> Row:
    """Judge a case, or remember it."""
    path = CACHE / "rows" / f"{recipe.key}.json"
    if path.exists():
        stored = json.loads(path.read_text())
    else:
        case = make_case(recipe)
        started = time.process_time()
        verdict = judge(
            case.fixed.volume,
            case.fixed.affine_ras,
            case.moving.volume,
            case.moving.affine_ras,
            case.fixed_to_moving_ras,
        )
        stored = {
            "true_error_mm": case.true_error_mm,
            "is_failure": case.is_failure,
            "is_good": case.is_good,
            "evidence": dataclasses.asdict(verdict.evidence),
            "seconds": time.process_time() - started,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(stored))
        aside.replace(path)
    return Row(recipe, **{**stored, "evidence": Evidence(**stored["evidence"])})


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


def silent_failures(rows: list[Row]) -> list[Row]:
    """Return the failures that passed."""
    return [row for row in rows if row.is_failure and row.grade == "pass"]


def false_alarms(rows: list[Row]) -> list[Row]:
    """Return the good cases that did not pass."""
    return [row for row in rows if row.is_good and row.grade != "pass"]


def summary(rows: list[Row]) -> str:
    """Return the figures that count."""
    failures = [row for row in rows if row.is_failure]
    good = [row for row in rows if row.is_good]
    off = [row for row in rows if row.true_error_mm <= SHOWN_MOST_MM and row.recipe.kind not in ("left-right flip",)]
    factors = [row.estimated_error_mm / max(row.true_error_mm, 0.5) for row in off if row.true_error_mm > FAILED_MM]
    lines = [
        f"{len(rows)} cases, {len(failures)} of them failures, {len(good)} good",
        f"silent failures: {len(silent_failures(rows))} of {len(failures)}",
        f"false alarms: {len(false_alarms(rows))} of {len(good)} ({len(false_alarms(rows)) / max(len(good), 1):.1%})",
        f"estimated over true error, beyond {FAILED_MM:g} mm: median {np.median(factors):.2f}, "
        f"5 % to 95 % {np.percentile(factors, 5):.2f} to {np.percentile(factors, 95):.2f}",
        f"CPU seconds a verdict, with preparing the scans: median {np.median([row.seconds for row in rows]):.1f}",
    ]
    for name, found in (("silent", silent_failures(rows)), ("false alarm", false_alarms(rows))):
        lines += [
            f"{name}: {row.recipe} true {row.true_error_mm:.1f} estimated {row.estimated_error_mm:.1f}: {row.reason}"
            for row in found
        ]
    return "\n".join(lines)


def draw_calibration(rows: list[Row], path: Path) -> None:
    """Draw estimated against true error, colored by grade."""
    figure, axes = plt.subplots(figsize=(7.0, 6.0), layout="constrained")
    low, high = 0.1, SHOWN_MOST_MM
    axes.fill_between([FAILED_MM, high], low, load_limits().error_mm.warn, color="#c1443c", alpha=0.08, lw=0)
    axes.plot([low, high], [low, high], color="0.6", lw=1, zorder=0)
    for grade in GRADES:
        members = [row for row in rows if row.grade == grade and math.isfinite(row.true_error_mm)]
        true = [max(row.true_error_mm, low) for row in members]
        estimated = [row.estimated_error_mm for row in members]
        axes.scatter(true, estimated, s=14, color=COLORS[grade], label=f"{grade} ({len(members)})", alpha=0.8, lw=0)
    axes.axvline(FAILED_MM, color="0.6", lw=1, ls=":")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="true error, mm (mean over the head)", ylabel="estimated error, mm")
    axes.set_title("Estimated against true error of planted registrations")
    axes.legend(title="verdict", loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


GALLERY = (
    Recipe("registered", 103, "MR_T1", "CT"),
    Recipe("2 to 5 mm", 103, "MR_T1", "PT"),
    Recipe("6 mm off", 103, "MR_T1", "CT"),
    Recipe("false optimum", 103, "MR_T1", "CT"),
    Recipe("turned by 180 degrees", 103, "MR_T1", "CT"),
    Recipe("left-right flip", 103, "MR_T1", "CT"),
    Recipe("wrong patient", 103, "MR_T1", "CT"),
    Recipe("tilt", 103, "MR_T1", "CT"),
    Recipe("deformed", 103, "MR_T1", "CT"),
    Recipe("partial overlap", 103, "MR_T1", "PT"),
    Recipe("couch only", 103, "MR_T1", "CT"),
    Recipe("noise", 103, "MR_T1", "PT"),
)


def draw_gallery(path: Path) -> None:
    """Draw one case of each kind: the fixed scan, and the outlines of the moving one under the transform."""
    figure, grid = plt.subplots(3, 4, figsize=(12.0, 11.2), layout="constrained")
    for axes, recipe in zip(grid.flat, GALLERY, strict=True):
        case, row = make_case(recipe), looked_at(recipe)
        shape = (case.fixed.volume.shape[0], case.fixed.volume.shape[1], case.fixed.volume.shape[2])
        moving, seen = resample_to(
            case.moving.volume, case.moving.affine_ras, shape, case.fixed.affine_ras, case.fixed_to_moving_ras
        )
        spacing = canonical_spacing(case.fixed.affine_ras)
        volumes = [canonical(volume.numpy(), case.fixed.affine_ras) for volume in (case.fixed.volume, moving, seen)]
        center = (volumes[0].shape[0] // 2, volumes[0].shape[1] // 2, round(volumes[0].shape[2] * 0.55))
        ours, theirs, inside = (plane_picture(volume, "axial", center) for volume in volumes)
        axes.imshow(ours, cmap="gray", vmin=0, vmax=np.percentile(ours, 99.5), aspect=spacing[1] / spacing[0])
        theirs = gaussian_filter(np.where(inside, theirs, np.nanmin(theirs)).astype(float), 0.7)
        low, high = np.percentile(theirs, (1.0, 99.0))
        levels = [low + share * (high - low) for share in (0.25, 0.75)]
        if high > low:
            axes.contour(theirs, levels=levels, colors=("#ffd166", "#ef476f"), linewidths=0.9)
        if not inside.all():
            axes.contour(inside.astype(float), levels=[0.5], colors="#4cc9f0", linewidths=1.0, linestyles="--")
        axes.set_axis_off()
        known = math.isfinite(row.true_error_mm)
        true = f"true error {row.true_error_mm:.1f} mm" if known else "no true place"
        name = f"{recipe.kind} ({recipe.fixed[:2]} and {recipe.moving})"
        axes.set_title(f"{name}\n{row.grade}, estimated {row.estimated_error_mm:.1f} mm; {true}", fontsize=9.5)
        axes.title.set_color(COLORS[row.grade])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("calibration", "report"), nargs="?", default="report")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--known", action="store_true", help="only what was looked at before")
    chosen: Any = parser.parse_args()
    todo = recipes(chosen.which)
    if chosen.known:
        todo = [recipe for recipe in todo if (CACHE / "rows" / f"{recipe.key}.json").exists()]
    with ProcessPoolExecutor(chosen.jobs) as pool:
        order = np.random.default_rng(0).permutation(len(todo))
        rows = list(pool.map(looked_at, [todo[i] for i in order]))
    rows.sort(key=lambda row: todo.index(row.recipe))
    print(table(rows))
    print(summary(rows))
    if chosen.which == "report" and not chosen.known:
        draw_gallery(IMAGES / "verdict_gallery.png")
    draw_calibration(rows, IMAGES / f"verdict_{'calibration' if chosen.which == 'report' else 'limits'}.png")


if __name__ == "__main__":
    main()
