"""Evaluation: the speed of the network's forms as Markdown and as one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medfuse.evaluation.speed_forms import PLAIN, PLAIN_KEPT

_DOTS_PER_INCH = 110
_HEAD = (
    "form",
    "seconds",
    "processor seconds",
    "times as fast as plain",
    "as plain with memory kept",
    "peak MB",
    "largest error",
    "mean error",
)


def speed_markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of a comparison.

    Args:
        result: what ``speed.json`` holds.
    """
    rows = [_row(name, form) for name, form in result["forms"].items()]
    side, threads, kernels = result["size"], result["threads"], result["kernels"] or "not built"
    legend = (
        f"One pair of {side} x {side} pixels ({result['image']}), {threads} threads, kernels: {kernels}. Each form "
        "runs in a process of its own and they take turns; seconds are medians, and ratios are medians of the ratios "
        "of one turn. Errors are from the same weights in float64.\n"
    )
    parts = ["# Speed of the network\n", legend, _table(_HEAD, rows)]
    if result["growth"]:
        sides = next(iter(result["growth"].values()))["sides"]
        head = ("form", *(f"{side} x {side}, s" for side in sides), "exponent of time", "exponent of memory")
        grown = [
            (
                name,
                *map(_number, growth["seconds"]),
                *(f"{growth[key]:.2f}" for key in ("time_exponent", "memory_exponent")),
            )
            for name, growth in result["growth"].items()
        ]
        parts.append("\n## How the cost grows\n\nExponents against the number of pixels.\n\n" + _table(head, grown))
    return "\n".join(parts)


def write_speed_plot(result: Mapping[str, Any], path: Path) -> None:
    """Draw the seconds of each form as bars and, where measured, the growth of time with the pixels.

    Args:
        result: what ``speed.json`` holds.
        path: the PNG to write.
    """
    grows = bool(result["growth"])
    figure = Figure(figsize=(9.0 if grows else 5.0, 3.2), layout="constrained")
    axes = figure.subplots(1, 2 if grows else 1, squeeze=False)[0]
    names = list(result["forms"])
    seconds = [result["forms"][name]["median_seconds"] for name in names]
    bars = axes[0].barh(names, seconds, color="C0")
    axes[0].bar_label(bars, labels=[_number(value) for value in seconds], padding=3, fontsize=8)
    axes[0].invert_yaxis()
    axes[0].set_xlabel(f"seconds for one pair of {result['size']} x {result['size']}")
    axes[0].margins(x=0.15)
    if grows:
        for name, growth in result["growth"].items():
            pixels = [side**2 for side in growth["sides"]]
            axes[1].loglog(pixels, growth["seconds"], "o-", label=f"{name}: exponent {growth['time_exponent']:.2f}")
        axes[1].set_xlabel("pixels")
        axes[1].set_ylabel("seconds")
        axes[1].legend(fontsize=8)
    FigureCanvasAgg(figure).print_figure(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})


def _row(name: str, form: Mapping[str, Any]) -> tuple[str, ...]:
    ratios = [form.get(f"times_faster_than {against}", math.nan) for against in (PLAIN, PLAIN_KEPT)]
    errors = (form["largest_error"], form["mean_error"])
    return (
        name,
        _number(form["median_seconds"]),
        _number(form["median_cpu_seconds"]),
        *map(_number, ratios),
        f"{form['peak_mb']:.0f}",
        *("–" if math.isnan(error) else f"{error:.1e}" for error in errors),  # noqa: RUF001
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _number(value: float) -> str:
    if math.isnan(value):
        return "–"  # noqa: RUF001
    return f"{value:.{3 if value < 0.1 else 2 if value < 10.0 else 1}f}"
