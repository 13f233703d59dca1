"""Run the tutorial on the inverse problem, and draw what it drew.

    OMP_NUM_THREADS=1 python tests/benchmarks/plot_ring.py

Writes docs/images/ring_posterior.png; prints what the page prints.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "tutorials" / "inverse_problem.md"
IMAGE = DOCS / "images" / "ring_posterior.png"
COLORS = {"red": "#c1443c", "blue": "#33658a", "green": "#2a9d8f", "purple": "#7b4b94"}


def run_page() -> dict[str, Any]:
    """Run the Python of the page, and return its names."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile("\n".join(blocks), PAGE.name, "exec"), names)
    return names


def draw(names: dict[str, Any]) -> None:
    """Draw the points, and beside them the draws for each color."""
    mpl.use("Agg")
    figure, axes = plt.subplots(1, 5, figsize=(12.0, 2.6), sharex=True, sharey=True, layout="constrained")
    x, y = names["points"](2000, seed=2)
    axes[0].scatter(*x.T, s=1, c=[list(COLORS.values())[color] for color in y.argmax(dim=1)])
    axes[0].set_title("points and their colors", fontsize=9)
    for panel, drawn, (name, color) in zip(axes[1:], names["drawn"], COLORS.items(), strict=True):
        panel.scatter(*names["centers"].T, s=200, facecolors="none", edgecolors="#bbbbbb")
        panel.scatter(*drawn.T, s=1, c=color)
        panel.set_title(f"drawn for {name}", fontsize=9)
    for panel in axes:
        panel.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    began = time.process_time()
    draw(run_page())
    print(f"{time.process_time() - began:.0f} s of processor time")
