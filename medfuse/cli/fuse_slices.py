"""``medfuse fuse-slices``: two folders of co-registered PNG slices in, a folder of fused ones out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import AUTO_METHOD, METHODS, FusionOptions


@guarded
def fuse_slices(
    first: Annotated[Path, typer.Argument(help="Folder of MR slices, *.png.")],
    second: Annotated[Path, typer.Argument(help="Folder of slices of the other modality, with the same names.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write: gray/, color/ and run.json.")],
    method: Annotated[str, typer.Option(help=f"How to fuse: {', '.join(METHODS)}, or auto.")] = AUTO_METHOD,
    weights: Annotated[str, typer.Option(help="Weights file of the network, or default.")] = "default",
    published_protocol: Annotated[
        bool, typer.Option("--published-protocol", help="Stretch each fused slice to 0..255, as published tables do.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Fuse PNG slices of equal names: gray ones, and color ones where a source is colored."""
    options = FusionOptions(method=method, weights=weights, device=device, overwrite=overwrite)
    with progress_bar() as progress:
        record = medfuse.fuse_slice_folders(first, second, output, options, published_protocol, progress)
    number, seconds = len(record["inputs"]), record["seconds"]["fuse"]
    out.print(f"Fused {number} pairs by {record['method']['name']} in {seconds:.1f} s; see {output}.", markup=False)
