"""The pictures of the planted cases: estimated against true error, and one case of each kind."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib as mpl
import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from scipy.ndimage import gaussian_filter
from verdict_cases import make_case
from verdict_recipes import FAILED_MM, Recipe, recipes
from verdict_rows import Row, looked_at

from medfuse.registration.findings import GRADES
from medfuse.registration.limits import load_limits
from medfuse.registration.resample import resample_to
from medfuse.report.planes import canonical, canonical_spacing, plane_picture

mpl.use("Agg")

COLORS = {"pass": "#1b7f79", "warn": "#c77d0a", "fail": "#b5332c"}
MARKERS = {"pass": "o", "warn": "s", "fail": "^"}
LEAST_MM, MOST_MM = 0.05, 150.0
OUTLINES, EDGE = ("#ffd166", "#ef476f"), "#4cc9f0"
GALLERY = (
    "registered",
    "2 to 5 mm",
    "6 mm off",
    "false optimum",
    "turned by 180 degrees",
    "left-right flip",
    "wrong patient",
    "tilt",
    "deformed",
    "partial overlap",
    "couch only",
    "noise",
)


def draw_calibration(rows: list[Row], path: Path) -> None:
    """Draw estimated against true error, colored by grade."""
    figure, axes = plt.subplots(figsize=(7.0, 6.2), layout="constrained")
    axes.fill_between(
        [FAILED_MM, MOST_MM], LEAST_MM, load_limits().error_mm.warn, color=COLORS["fail"], alpha=0.1, lw=0
    )
    axes.text(
        (FAILED_MM * MOST_MM) ** 0.5, 2 * LEAST_MM, "wrong, and not\nestimated to be", ha="center", color=COLORS["fail"]
    )
    axes.plot([LEAST_MM, MOST_MM], [LEAST_MM, MOST_MM], color="0.6", lw=1, zorder=0)
    axes.axvline(FAILED_MM, color="0.6", lw=1, ls=":", zorder=0)
    for grade in GRADES:
        members = [row for row in rows if row.grade == grade and math.isfinite(row.true_error_mm)]
        axes.scatter(
            [max(row.true_error_mm, LEAST_MM) for row in members],
            [row.estimated_error_mm for row in members],
            s=18,
            marker=MARKERS[grade],
            color=COLORS[grade],
            label=f"{grade} ({len(members)})",
            alpha=0.75,
            lw=0,
        )
    axes.set(xscale="log", yscale="log", xlim=(LEAST_MM, MOST_MM), ylim=(LEAST_MM, MOST_MM))
    axes.set(xlabel="true error, mm (mean over the head)", ylabel="estimated error, mm")
    ticks = [0.1, 0.3, 1, 3, 10, 30, 100]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(title="verdict", loc="upper left", frameon=False)
    _save(figure, path, 110)


def gallery_recipes(which: str) -> list[Recipe]:
    """Return the first MR and CT of a set for each kind."""
    shown = [recipe for recipe in recipes(which) if (recipe.fixed, recipe.moving) == ("MR_T1", "CT")]
    return [next(recipe for recipe in shown if recipe.kind == kind) for kind in GALLERY]


def draw_gallery(which: str, path: Path) -> None:
    """Draw one case of each kind: the fixed scan, and the outlines of the moving one under the transform."""
    figure, grid = plt.subplots(3, 4, figsize=(11.0, 11.4), layout="constrained")
    for axes, recipe in zip(grid.flat, gallery_recipes(which), strict=True):
        _draw_case(axes, recipe)
    figure.get_layout_engine().set(h_pad=0.1, hspace=0.02)
    _save(figure, path, 75)
    with Image.open(path) as picture:  # few colors make a small file
        picture.convert("RGB").quantize(palette=_palette(), dither=Image.Dither.NONE).save(path, optimize=True)


def _palette() -> Image.Image:
    """Return grays, and the colors of verdicts and outlines, pure and mixed with dark, middle and light grays."""
    grays = np.linspace(0.0, 1.0, 24)[:, None].repeat(3, axis=1)
    pure = np.array([mpl.colors.to_rgb(color) for color in (*COLORS.values(), *OUTLINES, EDGE)])
    mixed = [share * pure + (1.0 - share) * gray for share in (0.4, 0.7, 1.0) for gray in (0.0, 0.5, 1.0)]
    colors = np.round(255.0 * np.concatenate([grays, *mixed])).astype(np.uint8)
    image = Image.new("P", (1, 1))
    image.putpalette(colors.tobytes())
    return image


def _draw_case(axes: Axes, recipe: Recipe) -> None:
    case, row = make_case(recipe), looked_at(recipe)
    affine = case.fixed.affine_ras
    shape = (case.fixed.volume.shape[0], case.fixed.volume.shape[1], case.fixed.volume.shape[2])
    moving, seen = resample_to(case.moving.volume, case.moving.affine_ras, shape, affine, case.fixed_to_moving_ras)
    volumes = [canonical(volume.numpy(), affine) for volume in (case.fixed.volume, moving, seen)]
    spacing = canonical_spacing(affine)
    center = (volumes[0].shape[0] // 2, volumes[0].shape[1] // 2, round(volumes[0].shape[2] * 0.55))
    ours, theirs, inside = (plane_picture(volume, "axial", center) for volume in volumes)
    axes.imshow(ours, cmap="gray", vmin=0, vmax=np.percentile(ours, 99.5), aspect=spacing[1] / spacing[0])
    theirs = gaussian_filter(np.where(inside, theirs, np.nanmin(theirs)).astype(float), 0.7)
    low, high = np.percentile(theirs, (1.0, 99.0))
    if high > low:
        levels = [low + share * (high - low) for share in (0.25, 0.75)]
        axes.contour(theirs, levels=levels, colors=OUTLINES, linewidths=0.9)
    if inside.any() and not inside.all():
        axes.contour(inside.astype(float), levels=[0.5], colors=EDGE, linewidths=1.2, linestyles="--")
    axes.set_axis_off()
    known = math.isfinite(row.true_error_mm)
    true = f"true error {row.true_error_mm:.1f} mm" if known else "no true place"
    title = f"{recipe.kind}\n{row.grade}, estimated {row.estimated_error_mm:.1f} mm\n{true}"
    axes.set_title(title, fontsize=11, color=COLORS[row.grade])


def _save(figure: plt.Figure, path: Path, dots_per_inch: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dots_per_inch)
    plt.close(figure)
