"""``medfuse train``: weights for CDDFuse from pairs of slices."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar


@guarded
def train(
    data: Annotated[Path, typer.Argument(help="Folder with splits.json and the PNG slices it lists.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Weights file to write, *.safetensors.")],
    preset: Annotated[str, typer.Option(help="Recipe, a section of configs/training.json.")] = "cddfuse_cpu",
    start_from: Annotated[Path | None, typer.Option(help="Weights to go on from.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's choice by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and patches.")] = None,
    stage_one_steps: Annotated[int | None, typer.Option(help="Steps of stage I, reconstruct.")] = None,
    stage_two_steps: Annotated[int | None, typer.Option(help="Steps of stage II, fuse.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing weights file.")] = False,
) -> None:
    """Train CDDFuse in two stages, and write its weights with where they come from."""
    given = {
        "device": device,
        "threads": threads,
        "seed": seed,
        "stage_one_steps": stage_one_steps,
        "stage_two_steps": stage_two_steps,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    options = medfuse.training.training_options(preset, **overrides)
    started = {} if start_from is None else {"start_from": start_from.name}
    command = _command(data, output, {"preset": preset, **started, **overrides})
    with progress_bar() as progress:
        record = medfuse.training.train(
            data, output, options, command, start_from=start_from, overwrite=overwrite, progress=progress
        )
    for collection, scores in record.curve[-1]["validation"].items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        out.print(f"{collection}: {shown}", markup=False)
    out.print(f"{output} written after {record.seconds:.0f} s.", markup=False)


def _command(data: Path, output: Path, options: dict[str, Any]) -> str:
    """Return the command line that repeats the run."""
    words = ["medfuse", "train", str(data), "-o", str(output)]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
