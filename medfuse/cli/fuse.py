"""``medfuse fuse``: two volumes in, one fused volume and its report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

import medfuse
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.cli.web_access import web_access
from medfuse.errors import OptionError
from medfuse.options import AUTO_METHOD, METHODS, MODALITIES, PLANES, REGISTRATIONS, FusionOptions, RegistrationOptions

if TYPE_CHECKING:
    from medfuse.io.dicom_place import Archive

_AUTO = "auto"


@guarded
def fuse(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    fixed: Annotated[
        Path | None,
        typer.Argument(
            help="The volume whose grid the result has: .nii, .nii.gz, .mha, .mhd, .nrrd, or a DICOM folder or zip.",
            show_default=False,
        ),
    ] = None,
    moving: Annotated[
        Path | None,
        typer.Argument(
            help="The other volume of the same patient, on any grid; left out if FIXED is a study with both.",
            show_default=False,
        ),
    ] = None,
    fixed_series: Annotated[
        str | None,
        typer.Option("--fixed", help="DICOM series of FIXED: UID, number in `medfuse series`, or modality."),
    ] = None,
    moving_series: Annotated[str | None, typer.Option("--moving", help="The same for MOVING.")] = None,
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
    dicom: Annotated[bool, typer.Option(help="Write DICOM too, if FIXED is DICOM.")] = True,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave the patient out of the DICOM written.")
    ] = False,
    repeatable_uids: Annotated[
        bool, typer.Option("--repeatable-uids", help="Make UIDs from the inputs: equal runs write equal DICOM.")
    ] = False,
    archive: Annotated[
        str | None,
        typer.Option("--from", help="Archive in place of FIXED: http(s)://... for DICOMweb, or AETITLE@host:port."),
    ] = None,
    study: Annotated[str | None, typer.Option(help="StudyInstanceUID, with --from.")] = None,
    store_in: Annotated[str | None, typer.Option("--to", help="Archive to store the DICOM objects in.")] = None,
    ae_title: Annotated[str, typer.Option(help="AE title by which archives know this computer.")] = "MEDFUSE",
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
        fixed_series=fixed_series,
        moving_series=moving_series,
        write_dicom=dicom,
        deidentify=deidentify,
        repeatable_uids=repeatable_uids,
    )
    _check_sources(fixed, archive, study)
    target = None if store_in is None else _archive(store_in, ae_title)
    with progress_bar() as progress:
        if archive is not None and study is not None:
            result = medfuse.fuse_study(_archive(archive, ae_title), study, options, progress)
        else:
            result = medfuse.fuse_volumes(cast(Path, fixed), moving, options, progress)
        stored = None if target is None else medfuse.store_result(target, output, progress)
    fixed_modality, moving_modality = result.modalities
    seconds = sum(result.record["seconds"].values())
    out.print(f"Fused {fixed_modality} with {moving_modality} by {result.record['method']['name']} in {seconds:.1f} s.")
    out.print(f"Look at {output / 'preview.png'}; the volume is {output / 'fused.nii.gz'}.", markup=False)
    if stored is not None:
        out.print(f"Stored {stored} DICOM objects in the archive.")


def _check_sources(fixed: Path | None, archive: str | None, study: str | None) -> None:
    """Refuse what is named twice or not at all."""
    if (fixed is None) == (archive is None):
        msg = "give either FIXED (and MOVING), or --from ARCHIVE --study UID"
        raise OptionError(msg)
    if (archive is None) != (study is None):
        msg = "--from and --study go together; give both"
        raise OptionError(msg)


def _archive(address: str, ae_title: str) -> Archive:
    return medfuse.archive_at(address, web_access(), ae_title)


def _given(value: str) -> str | None:
    return None if value == _AUTO else value.upper()
