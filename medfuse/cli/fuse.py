"""``medfuse fuse``: two volumes in, one fused volume and its report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import AUTO_METHOD, METHODS, MODALITIES, PLANES, REGISTRATIONS, FusionOptions, RegistrationOptions

_AUTO = "auto"


@guarded
def fuse(
    fixed: Annotated[
        Path, typer.Argument(help="The volume whose grid the result has (.nii, .nii.gz, .mha, .mhd, .nrrd).")
    ],
    moving: Annotated[Path, typer.Argument(help="The other volume of the same patient, on any grid.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    modality: Annotated[
        tuple[str, str],
        typer.Option(help=f"Modality of FIXED and of MOVING: {', '.join(MODALITIES)}, or auto to find out."),
    ] = (_AUTO, _AUTO),
    window: Annotated[
        tuple[str, str],
        typer.Option(help="Intensity window of FIXED and of MOVING: auto, a preset such as brain, or LOW,HIGH."),
    ] = (_AUTO, _AUTO),
    registration: Annotated[
        str, typer.Option("--registration", "--register", help=f"How to register: {', '.join(REGISTRATIONS)}.")
    ] = "rigid",
    method: Annotated[str, typer.Option(help=f"How to fuse: {', '.join(METHODS)}, or auto.")] = AUTO_METHOD,
    weights: Annotated[str, typer.Option(help="Weights file of the network, or default.")] = "default",
    plane: Annotated[str, typer.Option(help=f"Plane of the slices: {', '.join(PLANES)}.")] = _AUTO,
    palette: Annotated[str, typer.Option(help="DICOM palette for PET and SPECT.")] = "hot_iron",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = _AUTO,
    slices_per_batch: Annotated[int, typer.Option(help="Slices that go through the network at once.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed of the registration's samples.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")] = False,
) -> None:
    """Register MOVING to FIXED, fuse the two, and write the result with a report."""
    options = FusionOptions(
        output=output,
        overwrite=overwrite,
        fixed_modality=_given(modality[0]),
        moving_modality=_given(modality[1]),
        fixed_window=window[0],
        moving_window=window[1],
        registration=RegistrationOptions(method=registration, seed=seed),
        plane=plane,
        method=method,
        weights=weights,
        device=device,
        slices_per_batch=slices_per_batch,
        palette=palette,
    )
    with progress_bar() as progress:
        result = medfuse.fuse_volumes(fixed, moving, options, progress)
    fixed_modality, moving_modality = result.modalities
    seconds = sum(result.record["seconds"].values())
    out.print(f"Fused {fixed_modality} with {moving_modality} by {result.record['method']['name']} in {seconds:.1f} s.")
    out.print(f"Look at {output / 'preview.png'}; the volume is {output / 'fused.nii.gz'}.", markup=False)


def _given(value: str) -> str | None:
    return None if value == _AUTO else value.upper()
