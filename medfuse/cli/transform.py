"""``medfuse transform``: convert, chain and invert transforms."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.console import guarded, out


@guarded
def transform(
    files: Annotated[
        list[Path],
        typer.Argument(help="Transforms, applied in this order: .tfm, .txt, or DICOM Spatial Registration objects."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .tfm (ITK, LPS) or .txt (RAS).")],
    invert: Annotated[
        bool, typer.Option("--invert", help="Write the inverse: from the moving to the fixed volume.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it exists.")] = False,
) -> None:
    """Read transforms of any kind that medfuse knows, apply one after the other, and write them as one."""
    reading = import_module("medfuse.io.transform_chain")  # now, so that help is quick
    writing = import_module("medfuse.io.transform_files")
    given = reading.read_transforms(files)
    for note in given.notes:
        out.print(f"note: {note}", markup=False)
    matrix = given.fixed_to_moving_ras
    writing.write_transform_file(writing.invert_transform(matrix) if invert else matrix, output, overwrite)
    out.print(f"Wrote {output}.", markup=False)
