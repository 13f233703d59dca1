"""Draw how the features of two modalities correlated, and how the validation pairs scored, while weights were trained.

    python tests/benchmarks/plot_training.py WEIGHTS.safetensors OUT.png

All is read from the record inside the weights file; earlier legs that it started from come first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

from medfuse.networks import read_provenance

mpl.use("Agg")
from matplotlib import pyplot as plt

SCORES = {"edge_transfer": "edges kept (Q^AB/F)", "worst_source_vif": "fidelity of the worst source (VIF)"}


def legs(weights: Path) -> list[list[dict[str, Any]]]:
    """Return the curve of each leg that has one, the first one first."""
    found, leg = [], read_provenance(weights)
    while leg:
        found.append(leg.get("record", {}).get("curve", []))  # type: ignore[attr-defined]
        leg = leg.get("started_from") or {}  # type: ignore[assignment]
    return [curve for curve in reversed(found) if curve and "correlation" in curve[-1]]


def points(curves: list[list[dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each look at the validation pairs with the number of steps before it, over all legs."""
    before = 0
    for curve in curves:
        for row in curve:
            yield before + row["step"], row
        before += curve[-1]["step"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    looks = list(points(legs(given.weights)))
    steps = [step for step, _ in looks]
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for kind in ("base", "detail"):
        panels[0].plot(steps, [row["correlation"][kind] for _, row in looks], marker=".", label=kind)
    panels[0].set_title("correlation of the two modalities' features")
    for panel, (name, title) in zip(panels[1:], SCORES.items(), strict=True):
        for collection in looks[-1][1]["validation"]:
            panel.plot(steps, [row["validation"][collection][name] for _, row in looks], marker=".", label=collection)
        panel.set_title(title)
    for panel in panels:
        panel.set_xlabel("step")
        panel.legend()
        panel.grid(alpha=0.3)
    figure.savefig(given.picture, dpi=90)


if __name__ == "__main__":
    main()
