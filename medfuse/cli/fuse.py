"""``medfuse fuse``: two volumes in, one fused volume and its report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.table import Column, Table

import medfuse
from medfuse.cli import fuse_options as opt
from medfuse.cli.console import guarded, out, progress_bar
from medfuse.cli.web_access import web_access
from medfuse.errors import OptionError
from medfuse.options import AUTO_METHOD, NOT_RESTORED, FusionOptions, RegistrationOptions

if TYPE_CHECKING:
    from medfuse.io.dicom_place import Archive
    from medfuse.progress import Progress
    from medfuse.result import FusionResult

_AUTO = "auto"


@guarded
def fuse(
    output: opt.Output,
    fixed: opt.Fixed = None,
    moving: opt.Moving = None,
    fixed_series: opt.FixedSeries = None,
    moving_series: opt.MovingSeries = None,
    modality: opt.Modality = (_AUTO, _AUTO),
    window: opt.Window = (_AUTO, _AUTO),
    registration: opt.Registration = "rigid",
    transform: opt.Transforms = None,
    landmarks: opt.Landmarks = None,
    accept: opt.AcceptRegistration = False,
    restore: opt.Restore = NOT_RESTORED,
    method: opt.Method = AUTO_METHOD,
    weights: opt.Weights = "default",
    plane: opt.Plane = _AUTO,
    palette: opt.Palette = "hot_iron",
    device: opt.Device = _AUTO,
    keep_remainder: opt.KeepRemainder = False,
    slices_per_batch: opt.SlicesPerBatch = 4,
    seed: opt.Seed = 0,
    dicom: opt.WriteDicom = True,
    deidentify: opt.Deidentify = False,
    repeatable_uids: opt.RepeatableUids = False,
    archive: opt.From = None,
    study: opt.Study = None,
    store_in: opt.To = None,
    ae_title: opt.AeTitle = "MEDFUSE",
    overwrite: opt.Overwrite = False,
    profile: opt.Profile = False,
) -> None:
    """Register MOVING to FIXED, fuse the two, and write the result with a report."""
    options = FusionOptions(
        output=output,
        overwrite=overwrite,
        fixed_modality=_given(modality[0]),
        moving_modality=_given(modality[1]),
        fixed_window=window[0],
        moving_window=window[1],
        registration=RegistrationOptions(
            method=registration, seed=seed, transforms=tuple(transform or ()), landmarks=landmarks, accept=accept
        ),
        restore=restore,
        plane=plane,
        method=method,
        weights=weights,
        device=device,
        keep_remainder=keep_remainder,
        slices_per_batch=slices_per_batch,
        palette=palette,
        fixed_series=fixed_series,
        moving_series=moving_series,
        write_dicom=dicom,
        deidentify=deidentify,
        repeatable_uids=repeatable_uids,
    )
    _run(options, (fixed, moving), (archive, study), (store_in, ae_title), profile)


def _run(
    options: FusionOptions,
    files: tuple[Path | None, Path | None],
    stored: tuple[str | None, str | None],
    target: tuple[str | None, str],
    profile: bool,
) -> None:
    """Fuse two files, or a study (archive, UID), store the result where asked (archive, AE title), and tell of it."""
    _check_sources(files[0], *stored)
    store_in, ae_title = target
    output = cast(Path, options.output)
    to = None if store_in is None else _archive(store_in, ae_title)
    with progress_bar() as progress:
        place = None if stored[0] is None else _archive(stored[0], ae_title)
        result = _fused(files, (place, stored[1]), options, progress)
        number = None if to is None else medfuse.store_result(to, output, progress)
    _say(result, output, number)
    if profile:
        out.print(_profile(result.record))


def _fused(
    files: tuple[Path | None, Path | None],
    stored: tuple[Archive | None, str | None],
    options: FusionOptions,
    progress: Progress,
) -> FusionResult:
    """Fuse the study that lies in an archive, or else two files."""
    archive, study = stored
    if archive is not None and study is not None:
        return medfuse.fuse_study(archive, study, options, progress)
    return medfuse.fuse_volumes(cast(Path, files[0]), files[1], options, progress)


def _say(result: FusionResult, output: Path, stored: int | None) -> None:
    fixed_modality, moving_modality = result.modalities
    seconds = sum(result.record["seconds"].values())
    out.print(f"Fused {fixed_modality} with {moving_modality} by {result.record['method']['name']} in {seconds:.1f} s.")
    words = result.registration.in_words
    out.print(f"{words[0].upper()}{words[1:]}.")
    for role, change in result.restorations.items():
        out.print(f"Restored the {role} volume: {change.in_words}.")
    out.print(f"Look at {output / 'preview.png'}; the volume is {output / 'fused.nii.gz'}.", markup=False)
    if result.record["options"]["keep_remainder"]:
        out.print(f"With the remainder beside it, medfuse unfuse {output} gives both sources back.", markup=False)
    if stored is not None:
        out.print(f"Stored {stored} DICOM objects in the archive.")


def _profile(record: dict[str, Any]) -> Table:
    """Show how long each step took, and the most memory that the process held in it."""
    table = Table("step", *(Column(name, justify="right") for name in ("seconds", "share", "peak MiB")))
    total = sum(record["seconds"].values())
    for name, seconds in record["seconds"].items():
        peak = record["peak_memory_mib_by_step"][name]
        table.add_row(name, f"{seconds:.2f}", f"{seconds / max(total, 1e-9):.0%}", f"{peak:.0f}")
    table.add_row("all", f"{total:.2f}", "100%", f"{record['peak_memory_mib']['host']:.0f}")
    return table


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
