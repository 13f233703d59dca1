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


@app.command()
@guarded
def registration(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    data: Annotated[
        Path | None, typer.Argument(help="CSV list of aligned pairs, or a folder with pairs.csv; else phantom heads.")
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--pair", help="Repeat for each FIXED-MOVING, such as MR-CT.")
    ] = None,
    cells: Annotated[
        list[str] | None, typer.Option("--cell", help="Repeat for each DEGREES,MM of planted motion.")
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="Repeat for each: medfuse, textbook, elastix, ants; the first two by default."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Planted transforms in each cell of each pair.")] = 50,
    heads: Annotated[int, typer.Option(help="Phantom heads, if no DATA is given.")] = 5,
    seed: Annotated[int, typer.Option(help="What is planted depends on it alone.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes that register.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads and processors of each process.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Plant known rigid transforms and let methods find them: errors in mm over the head, tables and a plot."""
    default = medfuse.evaluation.RegistrationBenchmarkOptions()
    options = medfuse.evaluation.RegistrationBenchmarkOptions(
        methods=tuple(methods or default.methods),
        pairs=tuple(pairs or default.pairs),
        cells=tuple(medfuse.evaluation.Cell.parse(cell) for cell in cells) if cells else default.cells,
        trials=trials,
        heads=heads,
        seed=seed,
        jobs=jobs,
        threads=threads,
        overwrite=overwrite,
    )
    with progress_bar() as progress:
        result = medfuse.evaluation.benchmark_registration(data, output, options, progress)
    for pair, by_cell in result["summary"].items():
        out.print(_errors(pair, by_cell))
    out.print(f"All tables are in {output / 'registration.md'}.", markup=False)


@app.command()
@guarded
def speed(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    data: Annotated[
        Path | None, typer.Argument(help="Folder with splits.json, for a real image; else a phantom's.")
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            "--form",
            help="Repeat for each: plain; plain, memory kept; PyTorch; torch.compile; ONNX Runtime; kernels; "
            "cddfuse-fast.",
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the image, in pixels.")] = 256,
    repeats: Annotated[int, typer.Option(help="Timed calls of each form.")] = 5,
    threads: Annotated[int, typer.Option(help="Threads; 0 for as many as torch takes.")] = 0,
    growth: Annotated[bool, typer.Option(help="Fit how the cost grows from 64 x 64 to 1024 x 1024.")] = True,
    plain: Annotated[
        Path | None, typer.Option(help="Python file with plain_form(network); found in a checkout of medfuse.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Time the network in each of its forms, in turns: ratios, memory, errors, growth, a table and a plot."""
    default = medfuse.evaluation.SpeedOptions()
    options = medfuse.evaluation.SpeedOptions(
        forms=tuple(forms or ()),
        size=size,
        repeats=repeats,
        threads=threads,
        growth=default.growth if growth else (),
        plain=plain,
        overwrite=overwrite,
    )
    with progress_bar() as progress:
        result = medfuse.evaluation.benchmark_speed(output, data, options, progress)
    table = Table(Column("form", no_wrap=True), "seconds", "times as fast as plain", "peak MB")
    for name, form in result["forms"].items():
        ratio = form.get("times_faster_than plain")
        shown = "-" if ratio is None else f"{ratio:.1f}"
        table.add_row(name, f"{form['median_seconds']:.2f}", shown, f"{form['peak_mb']:.0f}")
    out.print(table)
    out.print(f"All tables are in {output / 'speed.md'}.", markup=False)


def _errors(pair: str, cells: dict[str, dict[str, Any]]) -> Table:
    columns = ("method", "median", "95 %", "success", "seconds")
    table = Table(Column("up to", no_wrap=True), *columns, title=f"{pair}: mean error over the head, mm")
    for cell, methods in cells.items():
        for name, method in methods.items():
            figures = [f"{method[key]:.2f}" for key in ("median_mm", "p95_mm")]
            table.add_row(cell, name, *figures, f"{method['success']:.0%}", f"{method['seconds']:.1f}")
    return table


def _table(collection: str, judged: dict[str, dict[str, Any]]) -> Table:
    columns = ("wins", "yardstick", "VIF", "Qabf", "lost", "invented")
    title = f"{collection}: published wins over max, and the worst source as a ratio to max (invented: to laplacian)"
    table = Table(Column("method", no_wrap=True), *columns, title=title)
    for method, row in judged.items():
        wins = ["-" if row[key] is None else str(len(row[key])) for key in ("wins", "yardstick_wins")]
        ratios = [row[f"{key}_ratio"] for key in ("fidelity", "edges", "lost", "invented")]
        table.add_row(method, *wins, *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios))
    return table
