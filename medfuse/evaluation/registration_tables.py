"""Evaluation: the comparison of registrations as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_summary import CellSummary, success_mm

_NOTHING = "–"  # noqa: RUF001
_HEAD = (
    "up to",
    "method",
    "trials",
    "median, mm",
    "95 % within, mm",
    "success",
    "gave up",
    "seconds",
    "processor seconds",
    "time / textbook",
)


def registration_markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of a comparison, one for each pair of modalities.

    Args:
        result: what ``registration.json`` holds.
    """
    parts = ["# Registration benchmark\n", _legend(result)]
    for pair, cells in result["summary"].items():
        rows = [_row(cell, name, methods) for cell, methods in cells.items() for name in methods]
        lines = [_HEAD, ["---"] * len(_HEAD), *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"## {pair}\n\nSuccess: mean error below {success_mm(pair):g} mm.\n\n{table}\n")
    return "\n".join(parts)


def _legend(result: Mapping[str, Any]) -> str:
    threads = result["threads"]
    return (
        f"Known rigid transforms are planted into {result['subjects']}: a random axis and direction, angle and shift "
        "uniform up to what the row says. Only the moving volume's affine changes. Errors are means over the fixed "
        "head of each trial (target registration error); the best median of each cell is bold, and a method that gives "
        "up counts as infinitely far off. Rates have 95 % intervals. All methods register each trial in turn, with "
        f"{threads} {'thread' if threads == 1 else 'threads'} each; seconds are medians, and the last column is the "
        "median ratio of processor time in the same trial.\n"
    )


def _row(cell: str, name: str, methods: Mapping[str, CellSummary]) -> list[str]:
    method, bounds = methods[name], Cell.parse(cell)
    best = min(other["median_mm"] for other in methods.values())
    middle = _number(method["median_mm"])
    low, high = method["success_low"], method["success_high"]
    return [
        f"{bounds.degrees:g}°, {bounds.mm:g} mm",
        f"`{name}`",
        str(method["trials"]),
        f"**{middle}**" if method["median_mm"] == best else middle,
        _number(method["p95_mm"]),
        f"{method['success']:.0%} ({low:.0%} to {high:.0%})",
        str(method["gave_up"]),
        _number(method["seconds"]),
        _number(method["cpu_seconds"]),
        _number(method["time_ratio"]),
    ]


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return _NOTHING
    return f"{value:.{1 if value >= 10.0 else 2}f}"
