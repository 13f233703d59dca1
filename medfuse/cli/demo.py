"""``medfuse demo``: the main job on a digital patient whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.options import FusionOptions


@guarded
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("demo_output"),
    seed: Annotated[int, typer.Option(help="Seed of the digital patient.")] = 0,
    profile: Annotated[str, typer.Option(help="Grids of the digital patient: standard or small.")] = "standard",
    method: Annotated[str, typer.Option(help="How to fuse.")] = "cddfuse",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of an earlier demo.")] = False,
) -> None:
    """Make a phantom patient, fuse its MR with its CT and its PET, and compare with the truth."""
    patient = output / "patient"
    jobs = {
        moving: FusionOptions(output=output / f"MR_{moving}", overwrite=overwrite, method=method)
        for moving in ("CT", "PT")
    }
    with progress_bar() as progress:
        made = medfuse.make_phantom(medfuse.PhantomOptions(seed=seed, profile=profile), progress)
        medfuse.write_phantom(made, patient, overwrite)
    out.print(f"The patient: {', '.join(made.volumes)}, each moved by a known transform, in {patient}.", markup=False)
    for moving, options in jobs.items():
        with progress_bar() as progress:
            result = medfuse.fuse_volumes(patient / "MR_T1.nii.gz", patient / f"{moving}.nii.gz", options, progress)
        error = medfuse.metrics.target_registration_error_mm(
            result.registration.fixed_to_moving_ras,
            made.fixed_to_moving_ras("MR_T1", moving),
            made.head_points_mm("MR_T1"),
        )
        moved = medfuse.metrics.target_registration_error_mm(
            np.eye(4), made.fixed_to_moving_ras("MR_T1", moving), made.head_points_mm("MR_T1")
        )
        out.print(
            f"MR + {moving}: the head had moved by {moved.mean_mm:.1f} mm; registration leaves an error of "
            f"{error.mean_mm:.2f} mm (largest {error.max_mm:.2f} mm). Open {output / f'MR_{moving}' / 'preview.png'}",
            markup=False,
        )
