"""Evaluation: the means of each method and their intervals as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medfuse.evaluation.summary import Mean, Means

_SHOWN = {
    "sound.VIF_worst": "VIF, worst source",
    "sound.Qabf_worst": "Qabf, worst source",
    "sound.lost_worst": "lost structure, worst source",
    "sound.invented": "invented structure",
    "published.VIF": "published VIF, sum of sources",
    "published.SSIM_range2": "published SSIM, sum of sources",
}
_DOTS_PER_INCH = 110


def write_plot(means: Means, path: Path) -> None:
    """Draw a row for each collection and a column for each leading measure: a point and its interval for each method.

    Args:
        means: of ``summary.summarize``.
        path: the PNG to write.
    """
    measures = [name for name in _SHOWN if any(name in method for rows in means.values() for method in rows.values())]
    most = max(len(methods) for methods in means.values())
    size = 2.6 * len(measures) + 1.4, (0.28 * most + 1.0) * len(means)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(means), len(measures), squeeze=False, sharey="row")
    for row, (collection, methods) in enumerate(means.items()):
        for column, measure in enumerate(measures):
            _draw(axes[row, column], methods, measure)
            axes[row, column].set_title(_SHOWN[measure] if row == 0 else "", fontsize=9)
        axes[row, 0].set_ylabel(collection)
        axes[row, 0].invert_yaxis()
    FigureCanvasAgg(figure).print_figure(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})


def _draw(axes: Axes, methods: Mapping[str, Mapping[str, Mean]], measure: str) -> None:
    found = [method.get(measure) for method in methods.values()]
    center, low, high = (
        np.array([np.nan if mean is None else mean[key] for mean in found]) for key in ("mean", "low", "high")
    )
    rows = np.arange(len(found))
    axes.hlines(rows, low, high, color="0.6")
    axes.plot(center, rows, "o", color="C0", markersize=4)
    axes.set_yticks(rows, list(methods), fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
