"""The options of ``medfuse fuse``, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse.options import METHODS, MODALITIES, PLANES, REGISTRATIONS, RESTORE

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
Fixed = Annotated[
    Path | None,
    typer.Argument(
        help="The volume whose grid the result has: .nii, .nii.gz, .mha, .mhd, .nrrd, or a DICOM folder or zip.",
        show_default=False,
    ),
]
Moving = Annotated[
    Path | None,
    typer.Argument(
        help="The other volume of the same patient, on any grid; left out if FIXED is a study with both.",
        show_default=False,
    ),
]
FixedSeries = Annotated[
    str | None,
    typer.Option("--fixed", help="DICOM series of FIXED: UID, number in `medfuse series`, or modality."),
]
MovingSeries = Annotated[str | None, typer.Option("--moving", help="The same for MOVING.")]
Modality = Annotated[
    tuple[str, str],
    typer.Option(help=f"Modality of FIXED and of MOVING: {', '.join(MODALITIES)}, or auto to find out."),
]
Window = Annotated[
    tuple[str, str],
    typer.Option(help="Intensity window of FIXED and of MOVING: auto, a preset such as brain, or LOW,HIGH."),
]
Registration = Annotated[
    str, typer.Option("--registration", "--register", help=f"How to register: {', '.join(REGISTRATIONS)}.")
]
Transforms = Annotated[
    list[Path] | None,
    typer.Option(
        "--transform",
        help="Set out from this transform and not from the headers: .tfm, .txt or DICOM; repeat to chain several.",
    ),
]
Landmarks = Annotated[
    Path | None, typer.Option(help="Set out from points in this CSV: name,fixed_x,...,moving_x,..., RAS mm.")
]
Restore = Annotated[
    str, typer.Option(help=f"Which volumes to take the noise out of before fusing: {', '.join(RESTORE)}.")
]
Method = Annotated[str, typer.Option(help=f"How to fuse: {', '.join(METHODS)}, or auto.")]
Weights = Annotated[
    str, typer.Option(help="Weights of the network: default, phantom (learned from phantoms alone), or a file.")
]
Plane = Annotated[str, typer.Option(help=f"Plane of the slices: {', '.join(PLANES)}.")]
Palette = Annotated[str, typer.Option(help="DICOM palette for PET and SPECT.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
SlicesPerBatch = Annotated[int, typer.Option(help="Slices that go through the network at once.")]
AcceptRegistration = Annotated[
    bool, typer.Option("--accept-registration", help="Fuse even if the registration is judged wrong.")
]
Seed = Annotated[int, typer.Option(help="Seed of the registration's samples.")]
WriteDicom = Annotated[bool, typer.Option(help="Write DICOM too, if FIXED is DICOM.")]
Deidentify = Annotated[bool, typer.Option("--deidentify", help="Leave the patient out of the DICOM written.")]
RepeatableUids = Annotated[
    bool, typer.Option("--repeatable-uids", help="Make UIDs from the inputs: equal runs write equal DICOM.")
]
From = Annotated[
    str | None,
    typer.Option("--from", help="Archive in place of FIXED: http(s)://... for DICOMweb, or AETITLE@host:port."),
]
Study = Annotated[str | None, typer.Option(help="StudyInstanceUID, with --from.")]
To = Annotated[str | None, typer.Option("--to", help="Archive to store the DICOM objects in.")]
AeTitle = Annotated[str, typer.Option(help="AE title by which archives know this computer.")]
KeepRemainder = Annotated[
    bool,
    typer.Option(
        "--keep-remainder",
        help="Write remainder.npz, with which `medfuse unfuse` gives both sources back; with --method unfusing only.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT if it is an earlier result.")]
Profile = Annotated[bool, typer.Option("--profile", help="Show seconds and peak memory of each step.")]
