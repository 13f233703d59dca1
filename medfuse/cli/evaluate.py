"""``medfuse evaluate``: how well fused images that are there keep their sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.errors import OptionError

if TYPE_CHECKING:
    from medfuse.evaluation import FusedCase

_SHOWN = ("sound.VIF_worst", "sound.Qabf_worst", "sound.SSIM_worst", "sound.lost_worst", "sound.invented")


@guarded
def evaluate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    first: Annotated[Path | None, typer.Option(help="First source: PNG, NIfTI, MHA or NRRD.")] = None,
    second: Annotated[Path | None, typer.Option(help="Second source, on the same grid.")] = None,
    fused: Annotated[Path | None, typer.Option(help="What was fused from them.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Where pixels count (not 0); the foreground by default.")] = None,
    cases: Annotated[
        Path | None, typer.Option("--list", help="CSV of many cases: case, first, second, fused and, if wanted, mask.")
    ] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="Values of volumes that become 0 and 1.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Score fused images, each source by itself: a table, a plot and the means."""
    chosen = _cases(first, second, fused, mask, cases)
    with progress_bar() as progress:
        result = medfuse.evaluation.evaluate_cases(chosen, output, value_range, overwrite, progress)
    for name in _SHOWN:
        mean = result["means"][name]
        out.print(f"{name.partition('.')[2]}: {mean['mean']:.3f}", markup=False)
    out.print(f"All measures, case by case, are in {output / 'metrics.csv'}.", markup=False)


def _cases(
    first: Path | None, second: Path | None, fused: Path | None, mask: Path | None, cases: Path | None
) -> list[FusedCase]:
    """Return the cases of the list, or the one that is given by its files."""
    given = [path for path in (first, second, fused, mask) if path is not None]
    if cases is not None and not given:
        return medfuse.evaluation.read_cases(cases)
    if cases is None and first and second and fused:
        return [medfuse.evaluation.FusedCase(fused.name, first, second, fused, mask)]
    msg = "give --first, --second and --fused, or --list alone"
    raise OptionError(msg)
