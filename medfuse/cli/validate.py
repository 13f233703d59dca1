"""``medfuse validate``: how well a network and the trivial rules fuse held-out pairs of slices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import METHODS

_MEASURES = ("edge_transfer", "worst_source_vif")


@guarded
def validate(
    data: Annotated[Path, typer.Argument(help="Folder with splits.json and the PNG slices it lists.")],
    weights: Annotated[str, typer.Option(help="Weights file of the network, or default.")] = "default",
    part: Annotated[str, typer.Option(help="Part of the split: validation or train.")] = "validation",
    number: Annotated[int, typer.Option(min=0, help="About how many pairs, evenly spread; 0 for all.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Score every fusion method on pairs of slices: edges of both sources kept, and the source that is kept worst."""
    with progress_bar() as progress:
        scores = medfuse.training.score_methods(data, part, weights, number, device, progress)
    if as_json:
        out.print(json.dumps(scores, indent=2), markup=False)
        return
    collections = list(scores[METHODS[0]])
    table = Table("method", *(f"{name}\n{title}" for name in collections for title in ("edges", "worst VIF")))
    for method, by_collection in scores.items():
        cells = [by_collection[name][measure] for name in collections for measure in _MEASURES]
        table.add_row(method, *(f"{cell:.3f}" for cell in cells))
    out.print(table)
