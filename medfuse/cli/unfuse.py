"""``medfuse unfuse``: a fused volume in, both of its sources out."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import UnfusingOptions


@guarded
def unfuse(
    fused: Annotated[
        Path, typer.Argument(help="Folder that `medfuse fuse --method unfusing` wrote, or the fused volume in it.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    without_remainder: Annotated[
        bool,
        typer.Option(
            "--without-remainder", help="Draw the sources that the fused volume alone allows: their mean and spread."
        ),
    ] = False,
    draws: Annotated[int, typer.Option(help="How many to draw without the remainder.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of what is drawn.")] = 0,
    normalized: Annotated[
        bool, typer.Option("--normalized", help="Leave values from 0 to 1, and not in the units of the sources.")
    ] = False,
    weights: Annotated[str, typer.Option(help="Weights that fused: default, or a file.")] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Undo a fusion: with its remainder both sources come back, without it those that are possible."""
    options = UnfusingOptions(
        overwrite=overwrite,
        weights=weights,
        device=device,
        normalized=normalized,
        without_remainder=without_remainder,
        draws=draws,
        seed=seed,
    )
    undoing = import_module("medfuse.unfuse_folder")  # now, so that help is quick
    with progress_bar() as progress:
        record = undoing.unfuse_folder(fused, output, options, progress)
    drawn = (
        f", from {options.draws} draws, whose spread is widened by what the weights say" if without_remainder else ""
    )
    out.print(f"Unfused in {record['seconds']['unfuse']:.1f} s{drawn}.")
    for role, source in record["sources"].items():
        out.print(_said(role, source, output), markup=False)


def _said(role: str, source: dict[str, Any], output: Path) -> str:
    """Name the files of a source, their units, and where its window cut it off."""
    low, high = source["window"]
    names = ", ".join(str(output / name) for name in source["files"].values())
    return f"{source['modality']} ({role}) in {source['units']}, cut off at {low:g} and {high:g}: {names}"
