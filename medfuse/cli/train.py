"""``medfuse train``: weights for a fusion network from pairs of slices or volumes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import medfuse
from medfuse.cli.console import EXIT_ERROR, guarded, out, progress_bar
from medfuse.errors import OptionError


@guarded
def train(
    data: Annotated[Path, typer.Argument(help="Folder or CSV file of pairs; see the page on training.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Weights file to write, *.safetensors.", show_default=False)
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Look the pairs over, say what is wrong, and stop.")] = False,
    preset: Annotated[str, typer.Option(help="Recipe, a section of configs/training.json.")] = "cddfuse_fast_cpu",
    config: Annotated[Path | None, typer.Option(help="JSON file of options that go before the recipe's.")] = None,
    start_from: Annotated[str | None, typer.Option(help="Weights to go on from: a file, or default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run, if there is one.")] = False,
    logs: Annotated[Path | None, typer.Option(help="Folder for curves and pictures (TensorBoard, JSON lines).")] = None,
    mlflow: Annotated[str | None, typer.Option(help="MLflow too: a server, or sqlite:///FILE.db.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's choice by default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and patches.")] = None,
    stage_one_steps: Annotated[int | None, typer.Option(help="Steps of stage I, reconstruct.")] = None,
    stage_two_steps: Annotated[int | None, typer.Option(help="Steps of stage II, fuse.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing weights file.")] = False,
) -> None:
    """Train a fusion network, and write its weights with where they come from. Runs under torchrun as well."""
    if check:
        _check(data)
        return
    if output is None:
        msg = "no --output is given; name the weights file to write, such as -o mine.safetensors"
        raise OptionError(msg)
    if mlflow is not None and logs is None:
        msg = "--mlflow is given without --logs; name a folder for the logs too"
        raise OptionError(msg)
    given = {
        "device": device,
        "threads": threads,
        "seed": seed,
        "stage_one_steps": stage_one_steps,
        "stage_two_steps": stage_two_steps,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    from_file = {} if config is None else medfuse.training.read_options_file(config)
    options = medfuse.training.training_options(preset, **{**from_file, **overrides})
    files = {name: Path(path).name for name, path in (("config", config), ("start_from", start_from)) if path}
    command = _command(data, output, {"preset": preset, **files, **overrides})
    with progress_bar() as progress:
        record = medfuse.training.train(
            data,
            output,
            options,
            command,
            start_from=start_from,
            resume=resume,
            overwrite=overwrite,
            logs=logs,
            mlflow_uri=mlflow,
            progress=progress,
        )
    _show(record, output)


def _check(data: Path) -> None:
    """Print what is found about the pairs, and fail if they cannot be used."""
    with progress_bar() as progress:
        findings = medfuse.training.check_pairs(data, progress)
    for finding in findings:
        out.print(f"{'problem: ' if finding.unusable else ''}{finding.text}", markup=False)
    if any(finding.unusable for finding in findings):
        raise typer.Exit(EXIT_ERROR)


def _show(record: medfuse.training.Record, output: Path) -> None:
    """Print the last scores; of many processes the first does."""
    if not record.curve:
        return
    for collection, scores in record.curve[-1]["validation"].items():
        shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
        out.print(f"{collection}: {shown}", markup=False)
    out.print(f"{output} written after {record.seconds:.0f} s.", markup=False)


def _command(data: Path, output: Path, options: dict[str, Any]) -> str:
    """Return the command line that repeats the run."""
    words = ["medfuse", "train", data.resolve().name, "-o", output.name]  # folders may name a patient
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
