"""``medfuse phantom-pairs``: write slices of random phantom heads to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar


@guarded
def phantom_pairs(
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    heads: Annotated[int, typer.Option(help="How many heads; each is one case.")] = 80,
    slices: Annotated[int, typer.Option(help="Slices of a head for each of CT, PET and SPECT beside MR.")] = 6,
    held_out: Annotated[float, typer.Option(help="Share of the heads that serve for validation.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed of the first head; the next ones count on.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier set.")] = False,
) -> None:
    """Make pairs of slices of random digital heads, which ``medfuse train`` reads and which are no patient's."""
    options = medfuse.training.PhantomPairsOptions(heads=heads, slices=slices, held_out=held_out, seed=seed)
    with progress_bar() as progress:
        written = medfuse.training.write_phantom_pairs(output, options, overwrite, progress)
    out.print(
        f"Wrote {written['train']} pairs to train on and {written['validation']} to judge by to {output}.", markup=False
    )
