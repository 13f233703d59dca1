"""What each part of the objective of cddfuse-fast moves: the same short training, one change at a time.

    python tests/benchmarks/ablation.py SLICES OUT_DIR [--steps 250] [--pairs 45]

Each variant has all that the one above it has. Prints the table of docs/concepts/weights.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medfuse.evaluation import BenchmarkOptions, benchmark_fusion
from medfuse.training import TrainingOptions, train, training_options
from medfuse.training.options import StageTwoWeights

PRESET = "cddfuse_fast_cpu"
PUBLISHED = StageTwoWeights()
COLUMNS = {
    "wins": "yardstick_wins",
    "worst VIF": "fidelity_ratio",
    "worst edges": "edges_ratio",
    "lost": "lost_ratio",
    "invented": "invented_ratio",
}


def variants(steps: int) -> dict[str, TrainingOptions]:
    """Return what is trained, by name, from the published objective to the shipped one."""
    full = training_options(PRESET, stage_two_steps=steps, validate_every=steps, validation_pairs=3, ema_decay=0.0)
    short = replace(full, patch_size=128, stage_two=PUBLISHED)
    sums = {name: goal for name, goal in full.stage_two.goals.items() if not name.startswith("worst_")}
    surpass = replace(PUBLISHED, intensity=0.0, gradient=0.0, decomposition=0.0, goals=sums)
    worst = replace(surpass, goals=full.stage_two.goals)
    honest = replace(worst, invented=full.stage_two.invented, lost=full.stage_two.lost)
    return {
        "published objective": short,
        "marks to surpass instead": replace(short, stage_two=surpass),
        "marks for the worst source": replace(short, stage_two=worst),
        "invented and lost edges": replace(short, stage_two=honest),
        "overshoot, decomposition": replace(short, stage_two=full.stage_two),
        "moving average of the weights": replace(short, stage_two=full.stage_two, ema_decay=0.98),
        "whole slices": replace(full, ema_decay=0.98),
    }


def main() -> None:
    """Train all variants, compare them on validation pairs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--pairs", type=int, default=45)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, (name, options) in enumerate(variants(given.steps).items()):
        files[name] = given.output / f"variant{number}.safetensors"
        if not files[name].exists():
            train(given.data, files[name], options, "tests/benchmarks/ablation.py")
    compared = BenchmarkOptions(methods=(), weights=tuple(map(str, files.values())), number=given.pairs, overwrite=True)
    result = benchmark_fusion(given.data, given.output / "benchmark", compared)
    print(table({name: path.stem for name, path in files.items()}, result["targets"]))


def table(rows: Mapping[str, str], judged: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table in Markdown: a row for each variant, five columns for each collection."""
    head = ["each has all of those above it", *(f"{name} {column}" for name in judged for column in COLUMNS)]
    lines = [head, ["---"] * len(head)]
    for name, row in rows.items():
        cells = [_cell(methods[row][key]) for methods in judged.values() for key in COLUMNS.values()]
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    return str(len(value)) if isinstance(value, list) else f"{value:.2f}"


if __name__ == "__main__":
    main()
