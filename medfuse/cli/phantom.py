"""``medfuse phantom``: write a digital head with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar


@guarded
def phantom(
    output: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int, typer.Option(help="Seed of anatomy, pose and noise; the same seed gives the same bytes.")] = 0,
    profile: Annotated[str, typer.Option(help="Grids: standard, or small for quick trials.")] = "standard",
    rotation_deg: Annotated[float, typer.Option(help="Largest turn of the head between scanners, in degrees.")] = 8.0,
    translation_mm: Annotated[float, typer.Option(help="Largest shift of the head between scanners, in mm.")] = 10.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier phantom.")] = False,
) -> None:
    """Make MR T1 and T2, CT, PET and SPECT of one digital head, each as its own scanner would see it."""
    options = medfuse.PhantomOptions(
        seed=seed, profile=profile, rotation_deg=rotation_deg, translation_mm=translation_mm
    )
    with progress_bar() as progress:
        made = medfuse.make_phantom(options, progress)
        medfuse.write_phantom(made, output, overwrite)
    out.print(f"Wrote {', '.join(made.volumes)} with truth.json to {output}.", markup=False)
