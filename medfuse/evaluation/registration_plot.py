"""Evaluation: the whole distribution of registration errors as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medfuse.evaluation.registration_options import REGISTRATION_METHODS
from medfuse.evaluation.registration_rows import TrialRow
from medfuse.evaluation.registration_summary import success_mm

_LEAST_MM, _MOST_MM = 0.05, 200.0
_DOTS_PER_INCH = 110
_WIDTH, _HEIGHT = 3.1, 2.3


def write_registration_plot(rows: Sequence[TrialRow], path: Path) -> None:
    """Draw, for each pair (row) and cell (column), which share of the trials each method brings below each error.

    A method that gave up in some trials ends below 100 %.

    Args:
        rows: all trials.
        path: the PNG to write.
    """
    pairs = list(dict.fromkeys(row.pair for row in rows))
    cells = list(dict.fromkeys(row.cell for row in rows))
    size = _WIDTH * len(cells) + 0.6, _HEIGHT * len(pairs) + 0.9
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(pairs), len(cells), squeeze=False, sharex=True, sharey=True)
    for row, pair in enumerate(pairs):
        for column, cell in enumerate(cells):
            _draw(axes[row, column], [trial for trial in rows if (trial.pair, trial.cell) == (pair, cell)])
            _mark(axes[row, column], success_mm(pair))
            axes[0, column].set_title(f"up to {cell.degrees:g}° and {cell.mm:g} mm", fontsize=9)
        axes[row, 0].set_ylabel(f"{pair}\n% of trials", fontsize=9)
    figure.supxlabel("mean error over the head, mm; dotted: success", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=9, frameon=False)
    FigureCanvasAgg(figure).print_figure(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})


def _draw(axes: Axes, rows: Sequence[TrialRow]) -> None:
    for method in dict.fromkeys(row.method for row in rows):
        errors = np.array([row.error_mm for row in rows if row.method == method])
        reached = np.sort(errors[np.isfinite(errors)]).clip(_LEAST_MM, _MOST_MM)
        share = 100.0 * np.arange(len(reached) + 1) / len(errors)
        color = f"C{REGISTRATION_METHODS.index(method)}"
        ends = [_LEAST_MM, *reached, _MOST_MM]
        axes.step(ends, [*share, share[-1]], where="post", color=color, label=method, linewidth=1.6)


def _mark(axes: Axes, limit_mm: float) -> None:
    axes.axvline(limit_mm, color="0.4", linestyle=":", linewidth=1.0)
    axes.set_xscale("log")
    axes.set_xlim(_LEAST_MM, _MOST_MM)
    axes.set_ylim(-2.0, 102.0)
    axes.set_xticks([0.1, 1.0, 10.0, 100.0], ["0.1", "1", "10", "100"])
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
