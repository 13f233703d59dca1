"""``medfuse benchmark``: how methods compare on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import METHODS

app = typer.Typer(help="Compare methods on the same data.", no_args_is_help=True, pretty_exceptions_enable=False)

_BOTH = "both"


@app.callback()
def benchmark() -> None:
    """Compare methods on the same data."""


@app.command()
@guarded
def fusion(
    data: Annotated[Path, typer.Argument(help="Folder with splits.json and its PNG slices, or of MR slices, volumes.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    second: Annotated[
        Path | None, typer.Option(help="Folder of the other modality, with the same names, in place of splits.json.")
    ] = None,
    part: Annotated[str, typer.Option(help="Part of the split: validation or train.")] = "validation",
    methods: Annotated[
        list[str] | None, typer.Option("--method", help=f"Repeat for each: {', '.join(METHODS)}; all by default.")
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="Repeat for each further weights file: PATH, or METHOD=PATH.")
    ] = None,
    number: Annotated[int, typer.Option(help="About how many pairs, evenly spread; 0 for all.")] = 0,
    oracle: Annotated[int, typer.Option(help="Pairs of each collection whose pixels are optimized themselves.")] = 0,
    suite: Annotated[str, typer.Option(help="published, sound or both.")] = _BOTH,
    jobs: Annotated[int, typer.Option(help="Processes that compute scores.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Score fusion methods beside trivial rules: a row for each pair, means with intervals, tables and a plot."""
    options = medfuse.evaluation.BenchmarkOptions(
        second=second,
        part=part,
        methods=tuple(methods or METHODS),
        weights=tuple(weights or ()),
        number=number,
        oracle=oracle,
        suites=("published", "sound") if suite == _BOTH else (suite,),
        device=device,
        jobs=jobs,
        overwrite=overwrite,
    )
    with progress_bar() as progress:
        result = medfuse.evaluation.benchmark_fusion(data, output, options, progress)
    for collection, judged in result["targets"].items():
        out.print(_table(collection, judged))
    out.print(f"All tables are in {output / 'benchmark.md'}.", markup=False)


def _table(collection: str, judged: dict[str, dict[str, Any]]) -> Table:
    columns = ("wins", "yardstick", "VIF", "Qabf", "lost", "invented")
    title = f"{collection}: published wins over max, and the worst source as a ratio to max (invented: to laplacian)"
    table = Table(Column("method", no_wrap=True), *columns, title=title)
    for method, row in judged.items():
        wins = ["-" if row[key] is None else str(len(row[key])) for key in ("wins", "yardstick_wins")]
        ratios = [row[f"{key}_ratio"] for key in ("fidelity", "edges", "lost", "invented")]
        table.add_row(method, *wins, *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios))
    return table
