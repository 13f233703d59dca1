"""The main job undone: from the fused volume that it wrote both sources come back, or those that are possible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from torch import Tensor

from medfuse.errors import InputError, UnreadableFileError, WeightsError
from medfuse.inferers.slices import join_slices, slices_with_picture, split_into_slices
from medfuse.io.checks import shown
from medfuse.io.nifti import DESCRIPTION_KEY
from medfuse.io.remainder_file import REMAINDER_NAME, read_remainder
from medfuse.io.volume_files import read_volume, write_volume
from medfuse.networks import Unfusing
from medfuse.options import MODALITIES, UNFUSING_METHOD, FusionOptions, UnfusingOptions
from medfuse.progress import Progress, counted
from medfuse.report.record import RECORD_NAME, complete_record, describe_method, file_hash, write_record
from medfuse.run import Run, started_run
from medfuse.steps import FUSED_NAME
from medfuse.transforms.stack import fixed_comes_first
from medfuse.transforms.volumes import NORMALIZED, on_grid_of
from medfuse.transforms.windows import IntensityWindow
from medfuse.unfuse import possible_sources, unfuse

ROLES = ("fixed", "moving")


@dataclass(frozen=True)
class Earlier:
    """What an earlier run of the main job says of itself.

    Attributes:
        folder: where it lies.
        fused: the fused volume, (1, X, Y, Z).
        modalities: of the fixed and of the moving volume.
        windows: the values of both that became 0 and 1; None where the record does not tell.
        spatial_dim: the axis that slices were stacked along.
    """

    folder: Path
    fused: MetaTensor
    modalities: tuple[str, str]
    windows: tuple[IntensityWindow | None, IntensityWindow | None]
    spatial_dim: int

    @property
    def channels(self) -> tuple[str, ...]:
        """The roles in the order of the network's channels."""
        return ROLES if fixed_comes_first(*self.modalities) else ROLES[::-1]

    @property
    def other_modality(self) -> str:
        """The modality of the network's second channel."""
        return self.modalities[ROLES.index(self.channels[1])]

    @property
    def fused_slices(self) -> Tensor:
        """The fused slices, (N, 1, H, W)."""
        return split_into_slices(self.fused.as_tensor(), self.spatial_dim)


def unfuse_folder(
    source: Path, output: Path, options: UnfusingOptions | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Give back the two sources of a fused volume, on its grid.

    With the remainder ``output`` gets ``fixed.nii.gz`` and ``moving.nii.gz``: the sources as the network saw them.
    Without it, it gets ``..._mean.nii.gz`` and ``..._spread.nii.gz`` of both: mean and spread of the sources that the
    fused volume alone allows. ``run.json`` says in which units they are: those of the source, cut off at the ends of
    its window, or ``"normalized"``, from 0 to 1. Slices that are black stay black.

    Args:
        source: the folder that ``fuse_volumes`` wrote, or the fused volume in it.
        output: the folder to write.
        options: what to do; None takes the remainder, and the weights that are shipped.
        progress: who is told how far the work is.

    Returns:
        What ``run.json`` holds.

    Raises:
        MedfuseError: one of its kinds, in one line: if the volume was fused by another method or other weights, or
            the remainder is missing or belongs to another volume.
    """
    options = options or UnfusingOptions()
    folder, path = (source, source / FUSED_NAME) if source.is_dir() else (source.parent, source)
    record = _read_record(folder)
    _check_method(record, options.weights)
    files = [path, folder / RECORD_NAME] + ([] if options.without_remainder else [_remainder_in(folder)])
    fusing = FusionOptions(
        output=output,
        overwrite=options.overwrite,
        method=UNFUSING_METHOD,
        weights=options.weights,
        device=options.device,
    )
    with started_run(fusing, progress, files) as run:
        with run.step("read"):
            earlier = _earlier(folder, path, record)
        with run.step("unfuse") as listener:
            sources = _sources(earlier, options, run, listener)
        with run.step("write"):
            written = _write(sources, earlier, options.normalized, run.folder or output)
        if options.without_remainder and isinstance(run.network, Unfusing):
            factors = run.network.widening(earlier.other_modality).flatten().tolist()
            for role, factor in zip(earlier.channels, factors, strict=True):
                written[role]["spread_widened_by"] = round(factor, 3)
        done = {
            "options": {**asdict(options), "weights": Path(options.weights).name},
            "inputs": {file.name: {"sha256": file_hash(file)} for file in files},
            "method": describe_method(UNFUSING_METHOD, options.weights),
            "sources": written,
        }
        complete = complete_record(done, run.notes, run.seconds, run.device)
        write_record(complete, run.folder or output)
    return complete


def _read_record(folder: Path) -> dict[str, Any]:
    """Read the record of the run that fused."""
    path = folder / RECORD_NAME
    if not path.is_file():
        msg = f"there is no {RECORD_NAME} in {shown(folder)}; give the folder that medfuse fuse wrote"
        raise UnreadableFileError(msg)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict):
        msg = f"{shown(path)} is damaged; fuse the volumes again"
        raise UnreadableFileError(msg)
    return record


def _check_method(record: Mapping[str, Any], weights: str) -> None:
    """Refuse what cannot be undone, or not by these weights."""
    fused_by = record.get("method")
    if not isinstance(fused_by, dict) or fused_by.get("name") != UNFUSING_METHOD:
        name = fused_by.get("name") if isinstance(fused_by, dict) else None
        msg = f"the volume was fused by {name}, which cannot be undone; fuse it again by --method {UNFUSING_METHOD}"
        raise InputError(msg)
    given = describe_method(UNFUSING_METHOD, weights)
    if fused_by.get("weights_sha256") != given["weights_sha256"]:
        was, now = fused_by.get("weights"), given["weights"]
        msg = f"the volume was fused with other weights ({was}) than those given ({now}); give the same by --weights"
        raise WeightsError(msg)


def _remainder_in(folder: Path) -> Path:
    path = folder / REMAINDER_NAME
    if not path.is_file():
        ways = "fuse with --keep-remainder, or take --without-remainder for the sources that are possible"
        msg = f"there is no {REMAINDER_NAME} in {shown(folder)}; {ways}"
        raise UnreadableFileError(msg)
    return path


def _earlier(folder: Path, path: Path, record: Mapping[str, Any]) -> Earlier:
    """Read the fused volume, and what the record says of it."""
    fused = read_volume(path)
    try:
        spatial_dim, number = (int(record["slices"][key]) for key in ("axis", "number"))
        modalities = tuple(str(record["inputs"][role]["modality"]) for role in ROLES)
        windows = tuple(_window(record.get("windows"), role) for role in ROLES)
        fits = spatial_dim in range(3) and set(modalities) <= set(MODALITIES)
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        msg = f"{RECORD_NAME} does not tell how the volume was fused; fuse the volumes again"
        raise UnreadableFileError(msg)
    if fused.shape[spatial_dim + 1] != number:
        sizes = f"{path.name} has {fused.shape[spatial_dim + 1]} slices, {RECORD_NAME} tells of {number}"
        msg = f"{sizes}; give the volume as it was fused, on its own grid"
        raise InputError(msg)
    return Earlier(folder, fused, (modalities[0], modalities[1]), (windows[0], windows[1]), spatial_dim)


def _window(windows: Any, role: str) -> IntensityWindow | None:
    return None if windows is None else IntensityWindow(**windows[role])


def _sources(earlier: Earlier, options: UnfusingOptions, run: Run, progress: Progress) -> dict[str, Tensor]:
    """Return what is to be written, each (N, 2, H, W) in [0, 1], by the ending of its name."""
    fused, network = earlier.fused_slices.to(run.device), run.network
    if not isinstance(network, Unfusing):
        msg = f"these are weights of {type(network).__name__}, which cannot be undone; give others by --weights"
        raise WeightsError(msg)
    if not options.without_remainder:
        remainder = read_remainder(earlier.folder / REMAINDER_NAME)
        return {"": unfuse(fused, remainder, network, progress).cpu()}
    mean, spread = (torch.zeros(len(fused), 2, *fused.shape[2:]) for _ in range(2))
    with_picture = slices_with_picture(fused).nonzero()[:, 0].tolist()
    for number in counted(with_picture, progress):
        found = possible_sources(
            fused[number][None], network, options.draws, options.seed + number, earlier.other_modality
        )
        mean[number], spread[number] = found.mean[0].cpu(), found.deviation[0].cpu()
    return {"_mean": mean, "_spread": spread}


def _write(sources: Mapping[str, Tensor], earlier: Earlier, normalized: bool, folder: Path) -> dict[str, Any]:
    """Write volumes in the units of the sources, and return what was written."""
    written: dict[str, Any] = {}
    for role, modality, window in zip(ROLES, earlier.modalities, earlier.windows, strict=True):
        known = None if normalized else window
        units = NORMALIZED if known is None else known.units
        files = {}
        for ending, slices in sources.items():
            values = join_slices(slices[:, [earlier.channels.index(role)]], earlier.spatial_dim)
            description = f"{ending.removeprefix('_') or 'source'} {modality} of a fused volume, {units}"
            meanings = {"modality": modality, "units": units, DESCRIPTION_KEY: description}
            volume = on_grid_of(earlier.fused, _in_units(values, known, ending != "_spread"), meanings)
            files[ending.removeprefix("_") or "source"] = name = f"{role}{ending}.nii.gz"
            write_volume(volume, folder / name)
        limits = (0.0, 1.0) if known is None else (known.lower, known.upper)
        written[role] = {"modality": modality, "units": units, "window": list(limits), "files": files}
    return written


def _in_units(values: Tensor, window: IntensityWindow | None, from_zero: bool) -> Tensor:
    """Return normalized values in the units of a window; a spread has a scale and no zero."""
    if window is None:
        return values
    scaled = values.double() * (window.upper - window.lower)
    return (scaled + window.lower if from_zero else scaled).float()
