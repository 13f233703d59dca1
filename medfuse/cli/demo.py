"""``medfuse demo``: the main job on a digital patient whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import AUTO_METHOD, METHODS, FusionOptions, check_choice

_FIXED = "MR_T1"
_MOVING = ("CT", "PT", "NM")


@guarded
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("demo_output"),
    moving: Annotated[str, typer.Option(help=f"What is fused with the MR: {', '.join(_MOVING)}.")] = "CT",
    seed: Annotated[int, typer.Option(help="Seed of the digital patient.")] = 0,
    profile: Annotated[str, typer.Option(help="Grids of the digital patient: standard or small.")] = "standard",
    method: Annotated[str, typer.Option(help=f"How to fuse: {', '.join(METHODS)}, or auto.")] = AUTO_METHOD,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier demo.")] = False,
) -> None:
    """Make a phantom patient, fuse its MR with another scan, and compare with the known truth."""
    check_choice("moving", moving, _MOVING)
    patient, folder = output / "patient", output / f"MR_{moving}"
    options = FusionOptions(output=folder, overwrite=overwrite, method=method)
    with progress_bar() as progress:
        made = medfuse.make_phantom(medfuse.PhantomOptions(seed=seed, profile=profile), progress)
        medfuse.write_phantom(made, patient, overwrite)
        fixed_folder, moving_folder = (patient / "dicom" / name for name in (_FIXED, moving))
        result = medfuse.fuse_volumes(fixed_folder, moving_folder, options, progress)
    truth, points = made.fixed_to_moving_ras(_FIXED, moving), made.head_points_mm(_FIXED)
    unmoved = made.fixed_to_moving_ras(_FIXED, _FIXED)
    known = medfuse.metrics.target_registration_error_mm(unmoved, truth, points)
    left = medfuse.metrics.target_registration_error_mm(result.registration.fixed_to_moving_ras, truth, points)
    seconds = sum(result.record["seconds"].values())
    out.print(f"The patient: {', '.join(made.volumes)}, each moved by a known transform, in {patient}.", markup=False)
    out.print(f"Between MR and {moving} the head had moved by {known.mean_mm:.1f} mm, on average over the head.")
    out.print(f"Registration leaves an error of {left.mean_mm:.2f} mm, and {left.max_mm:.2f} mm at most.")
    out.print(f"Without knowing it, the verdict was: {result.registration.in_words}.")
    out.print(f"Fused by {result.record['method']['name']} in {seconds:.0f} s. Not a medical device.")
    out.print(f"Open {folder / 'preview.png'}", markup=False)
