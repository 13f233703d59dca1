"""``medfuse series``: what DICOM lies in a folder, and which of it can be fused."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medfuse.cli.console import guarded, out, progress_bar

if TYPE_CHECKING:
    from medfuse.io.dicom_series import Catalog, DicomSeries


@guarded
def series(
    path: Annotated[Path, typer.Argument(help="Folder, zip, DICOMDIR or file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """List the DICOM series of a place: what they are, and whether they can be used or why not."""
    with tempfile.TemporaryDirectory(prefix="medfuse-") as workspace, progress_bar() as progress:
        reading = import_module("medfuse.io.dicom_series")  # now, so that help is quick
        catalog: Catalog = reading.list_series(path, Path(workspace), progress)
    skipped = [asdict(one) for one in catalog.skipped]
    if as_json:
        listed = [_fields(one) for one in catalog.series]
        out.print(json.dumps({"series": listed, "skipped": skipped}, indent=2), markup=False)
        return
    for one in catalog.series:
        out.print("\n".join(_lines(one)), markup=False)
    for other in catalog.skipped:
        out.print(f"skipped: {other.name} {other.reason}", markup=False)


def _fields(one: DicomSeries) -> dict[str, Any]:
    fields = {name: value for name, value in vars(one).items() if name != "frames"}
    return {**fields, "usable": not one.verdict}


def _lines(one: DicomSeries) -> list[str]:
    """Return how a series is shown: one line, and its notes below."""
    spacing = " x ".join(f"{value:.4g}" for value in one.spacing_mm)
    parts = [
        f"{one.number:>3} {one.modality or '-'} {one.description}".rstrip(),
        f"{one.slices} slices of {one.matrix[0]} x {one.matrix[1]}" if one.matrix[0] else "",
        f"{spacing} mm" if spacing else "",
        one.orientation,
        f"frame of reference {one.frame_of_reference_uid or 'none'}" if one.matrix[0] else "",
        f"UID {one.series_uid}",
        f"not usable: {one.verdict}" if one.verdict else "usable",
    ]
    return ["; ".join(part for part in parts if part), *(f"    note: {note}" for note in one.notes)]
