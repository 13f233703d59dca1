"""The eight steps of the main job, in order; ``pipeline.fuse_volumes`` calls them.

Each takes what the steps before it made and the ``Run``, times itself, and notes what the user should know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TypeAlias, cast

from monai.data import MetaTensor
from torch import Tensor

from medfuse.errors import OptionError, RegistrationError
from medfuse.geometry import spacing_mm
from medfuse.inferers.slices import join_slices, spatial_dim_of, split_into_slices
from medfuse.inferers.slicewise import fuse_slices
from medfuse.io.dicom_derived import DicomDescription
from medfuse.io.dicom_input import is_dicom
from medfuse.io.dicom_write import DicomSources, DicomVolumes, DicomWriteOptions, write_dicom_outputs
from medfuse.io.displacement_files import write_displacement
from medfuse.io.nifti import DESCRIPTION_KEY
from medfuse.io.remainder_file import REMAINDER_NAME, write_remainder
from medfuse.io.transform_files import write_transform
from medfuse.io.volume_files import write_color_volume, write_volume
from medfuse.networks import Unfusing
from medfuse.options import FusionOptions
from medfuse.progress import Progress
from medfuse.registration.findings import PASS
from medfuse.registration.register import Registration
from medfuse.report.preview import write_preview
from medfuse.report.record import make_record, write_record
from medfuse.report.registration_picture import refusal_picture, write_registration_picture
from medfuse.result import FusionResult, described
from medfuse.run import Run
from medfuse.transforms.colorize import EMISSION, colorize
from medfuse.transforms.fuse import keep_fixed_outside
from medfuse.transforms.load import GUESSED, load_study, load_volume
from medfuse.transforms.normalize import black_outside, through_window, volume_window
from medfuse.transforms.register import Registered, on_fixed_grid, register_to_fixed
from medfuse.transforms.restored import RestorationChange, restore_volume
from medfuse.transforms.stack import stack_modalities
from medfuse.transforms.volumes import DICOM_KEY, NORMALIZED, on_grid_of
from medfuse.transforms.windows import IntensityWindow, check_window
from medfuse.unfuse import keep_remainder

Source: TypeAlias = str | Path | MetaTensor

WAYS_ON = "give other volumes, --transform or --landmarks, or go on with --accept-registration"
FUSED_NAME = "fused.nii.gz"
_COARSE_IN_PLANE = 3.0  # in-plane spacings that differ by more make the network see a stretched head


@dataclass(frozen=True)
class Pair:
    """The two volumes as they were read, each (1, X, Y, Z) on its own grid."""

    fixed: MetaTensor
    moving: MetaTensor


@dataclass(frozen=True)
class Normalized:
    """Both volumes in [0, 1] on the fixed grid, the windows that brought them there, and what restoring changed."""

    fixed: MetaTensor
    moving: MetaTensor
    fixed_window: IntensityWindow
    moving_window: IntensityWindow
    restorations: Mapping[str, RestorationChange]


@dataclass(frozen=True)
class Slices:
    """The two-channel slices, (N, 2, H, W), and the axis that they are stacked along."""

    image: Tensor
    spatial_dim: int


def read_pair(fixed: Source, moving: Source | None, run: Run) -> Pair:
    """Step 1 of 8, read: two files or series become two volumes that know their modality."""
    with run.step("read") as progress:
        pair = _read(fixed, moving, run.options, progress)
    for role, volume in (("fixed", pair.fixed), ("moving", pair.moving)):
        for note in volume.meta.get("notes", ()):
            run.note(f"{role}: {note}")
        if volume.meta["modality_source"] == GUESSED:
            modality = volume.meta["modality"]
            run.note(f"the {role} volume does not state its modality; its values look like {modality}")
    check_window(run.options.fixed_window, str(pair.fixed.meta["modality"]))
    check_window(run.options.moving_window, str(pair.moving.meta["modality"]))
    return pair


def register_pair(pair: Pair, run: Run) -> Registered:
    """Step 2 of 8, register: the moving volume comes onto the fixed grid."""
    with run.step("register") as progress:
        registered = register_to_fixed(pair.fixed, pair.moving, run.options.registration, progress)
    for note in registered.notes:
        run.note(note)
    _heed_verdict(pair, registered, run)
    outside = 1.0 - float(registered.inside.float().mean())
    if outside > 0.0:
        run.note(f"{outside:.1%} of the fixed grid lies outside the moving scan; there the result is the fixed volume")
    return registered


def normalize_pair(pair: Pair, registered: Registered, run: Run) -> Normalized:
    """Step 3 of 8, normalize: values go to [0, 1], by one window for each whole volume; without noise, if asked."""
    with run.step("normalize") as progress:
        fixed_window = volume_window(pair.fixed, run.options.fixed_window)
        moving_window = volume_window(pair.moving, run.options.moving_window)  # before resampling changes the values
        seen, restorations = _restored(pair, registered, run, progress)
        fixed = through_window(seen.fixed, fixed_window)
        moving = black_outside(through_window(seen.moving, moving_window), registered.inside)
    for role, change in restorations.items():
        run.note(f"the {role} volume was restored before it was fused: {change.in_words}")
    return Normalized(fixed, moving, fixed_window, moving_window, restorations)


def slice_pair(normalized: Normalized, run: Run) -> Slices:
    """Step 4 of 8, slice: both volumes become a stack of two-channel slices, MR first."""
    with run.step("slice"):
        affine = normalized.fixed.affine.numpy()
        spatial_dim = spatial_dim_of(affine, run.options.plane)
        image = stack_modalities(normalized.fixed, normalized.moving).as_tensor()
        slices = Slices(split_into_slices(image, spatial_dim), spatial_dim)
    in_plane = [spacing for axis, spacing in enumerate(spacing_mm(affine)) if axis != spatial_dim]
    if max(in_plane) > _COARSE_IN_PLANE * min(in_plane):
        run.note(
            f"pixels of the chosen plane measure {in_plane[0]:.2f} x {in_plane[1]:.2f} mm; plane auto suits better"
        )
    return slices


def run_network(slices: Slices, run: Run) -> Tensor:
    """Step 5 of 8, network: each slice is fused; (N, 2, H, W) to (N, 1, H, W)."""
    with run.step("network") as progress:
        return fuse_slices(slices.image, run.network, run.device, run.options.slices_per_batch, progress)


def assemble(
    fused_slices: Tensor, slices: Slices, pair: Pair, registered: Registered, normalized: Normalized, run: Run
) -> FusionResult:
    """Step 6 of 8, assemble: the slices become one volume on the fixed grid."""
    with run.step("assemble"):
        joined = join_slices(fused_slices, slices.spatial_dim)
        inside = registered.inside.as_tensor()
        values = keep_fixed_outside(joined, normalized.fixed.as_tensor(), inside)
        meanings = {
            "units": NORMALIZED,
            DESCRIPTION_KEY: described(registered.registration.in_words, normalized.restorations),
        }
        fused = on_grid_of(pair.fixed, values, meanings)
    return FusionResult(
        fused=fused,
        fixed=pair.fixed,
        moving_registered=registered.moving,
        inside=registered.inside,
        fixed_normalized=normalized.fixed,
        moving_normalized=normalized.moving,
        fixed_window=normalized.fixed_window,
        moving_window=normalized.moving_window,
        registration=registered.registration,
        spatial_dim=slices.spatial_dim,
        restorations=normalized.restorations,
        color=_color(fused, normalized, run.options.palette),
    )


def write_outputs(result: FusionResult, run: Run) -> None:
    """Step 7 of 8, write: volumes and transform, on the fixed grid."""
    if run.folder is None:
        return
    with run.step("write") as progress:
        _write_dicom(result, run)
        write_volume(result.fused, run.folder / FUSED_NAME)
        write_volume(result.moving_registered, run.folder / "moving_registered.nii.gz")
        _write_transforms(result.registration, run.folder)
        if result.color is not None:
            write_color_volume(result.color, run.folder / "fused_color.nii.gz")
        if run.options.keep_remainder:
            _write_remainder(result, run.folder, run, progress)


def report(pair: Pair, result: FusionResult, run: Run) -> None:
    """Step 8 of 8, report: the preview, and the record of the run."""
    with run.step("report"):
        if run.folder is not None:
            write_preview(result, run.options.palette, run.folder / "preview.png")
    shown = replace(run.options, registration=run.options.registration.without_folders())
    result.record = make_record(result, (pair.fixed, pair.moving), shown, run.notes, run.seconds, run.device)
    result.record["peak_memory_mib_by_step"] = dict(run.peaks_mib)
    if run.folder is not None:
        write_record(result.record, run.folder)


def _read(fixed: Source, moving: Source | None, options: FusionOptions, progress: Progress) -> Pair:
    modalities = (options.fixed_modality, options.moving_modality)
    series = (options.fixed_series, options.moving_series)
    if isinstance(fixed, str | Path) and is_dicom(Path(fixed)) and _same_place(fixed, moving):
        return Pair(*load_study(fixed, modalities, series, progress))
    if moving is None:
        msg = "the moving volume is missing; give it too, or a DICOM study that has both"
        raise OptionError(msg)
    return Pair(
        load_volume(fixed, modalities[0], series[0], "fixed", progress),
        load_volume(moving, modalities[1], series[1], "moving", progress),
    )


def _same_place(fixed: str | Path, moving: Source | None) -> bool:
    """Tell whether the moving volume lies where the fixed one does, or nowhere else."""
    return moving is None or (isinstance(moving, str | Path) and Path(fixed).resolve() == Path(moving).resolve())


def _restored(
    pair: Pair, registered: Registered, run: Run, progress: Progress
) -> tuple[Pair, dict[str, RestorationChange]]:
    """Return both volumes on the fixed grid, and what restoring changed.

    A volume is restored on its own grid, where its noise is what the scanner made it, and then takes the way that was
    found without restoring it.
    """
    seen, changes = {"fixed": pair.fixed, "moving": registered.moving}, {}
    for role, volume in (("fixed", pair.fixed), ("moving", pair.moving)):
        if run.restorers is None or role not in run.options.restored_roles:
            continue
        restored = restore_volume(volume, run.restorers, run.options.plane, run.options.slices_per_batch, progress)
        changes[role], seen[role] = restored.change, restored.volume
        if role == "moving":
            seen[role], _ = on_fixed_grid(pair.fixed, restored.volume, registered.registration)
    return Pair(seen["fixed"], seen["moving"]), changes


def _write_dicom(result: FusionResult, run: Run) -> None:
    """Write the result as DICOM if it belongs to a study."""
    source = result.fixed.meta.get(DICOM_KEY)
    if run.folder is None or source is None or not run.options.write_dicom:
        return
    written = write_dicom_outputs(
        DicomVolumes(
            fused=result.fused,
            color=result.color,
            moving_registered=result.moving_registered,
            fixed_window=_limits(result.fixed_window),
            moving_window=_limits(result.moving_window),
        ),
        DicomSources(source, result.moving_registered.meta.get(DICOM_KEY), result.registration.fixed_to_moving_ras),
        DicomDescription(
            method=run.options.method,
            version=metadata.version("medfuse"),
            registration=run.options.registration.method,
            fixed_modality=result.modalities[0],
            moving_modality=result.modalities[1],
            verdict=result.registration.in_words,
            failed=result.registration.failed,
            restored=tuple(result.restorations),
        ),
        DicomWriteOptions(deterministic=run.options.repeatable_uids, deidentify=run.options.deidentify),
        run.folder,
    )
    for note in written.notes:
        run.note(note)


def _write_remainder(result: FusionResult, folder: Path, run: Run, progress: Progress) -> None:
    """Write what the fused volume lacks of both sources, slice by slice."""
    pair = stack_modalities(result.fixed_normalized, result.moving_normalized)
    image, fused = (
        split_into_slices(volume.as_tensor(), result.spatial_dim).to(run.device) for volume in (pair, result.fused)
    )
    network = cast(Unfusing, run.network)  # only this one is run with the option
    write_remainder(keep_remainder(image, fused, network, progress=progress), folder / REMAINDER_NAME)


def _write_transforms(registration: Registration, folder: Path) -> None:
    """Write the linear transform, and what a deformation adds to it."""
    write_transform(registration.fixed_to_moving_ras, folder / "fixed_to_moving")
    if registration.displacement is not None:
        added = registration.displacement
        for name in ("displacement.nii.gz", "fixed_to_moving.h5"):
            write_displacement(added.values_mm, added.affine_ras, registration.fixed_to_moving_ras, folder / name)


def _heed_verdict(pair: Pair, registered: Registered, run: Run) -> None:
    """Say what speaks against a registration; stop if it is judged wrong, unless the user accepts it.

    Raises:
        RegistrationError: after drawing what was refused beside where the output would be.
    """
    verdict = registered.registration.verdict
    if verdict is None or verdict.grade == PASS:
        return
    if not registered.registration.failed:
        for reason in verdict.reasons:
            run.note(f"the registration is doubtful: {reason}")
        return
    if run.options.registration.accept:
        for reason in verdict.reasons:
            run.note(f"the registration is judged wrong and was accepted: {reason}")
        return
    look = ""
    if run.options.output is not None:
        picture = refusal_picture(Path(run.options.output))
        write_registration_picture(pair.fixed, registered.moving, verdict.reasons, picture)
        look = f"look at {picture.name} beside the output; "
    msg = f"{registered.registration.refusal}; {look}{WAYS_ON}"
    raise RegistrationError(msg)


def _limits(window: IntensityWindow) -> tuple[float, float]:
    return window.lower, window.upper


def _color(fused: MetaTensor, normalized: Normalized, palette: str) -> MetaTensor | None:
    """Color the fused volume if one of the two is an emission scan."""
    for volume in (normalized.moving, normalized.fixed):
        if volume.meta["modality"] in EMISSION:
            meanings = {"units": "RGB", DESCRIPTION_KEY: fused.meta[DESCRIPTION_KEY]}
            return on_grid_of(fused, colorize(fused.as_tensor(), volume.as_tensor(), palette), meanings)
    return None
