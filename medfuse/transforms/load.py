"""Step 1 of 8, read: a file becomes a volume that knows its modality."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from medfuse.errors import InputError
from medfuse.geometry import check_affine
from medfuse.io.checks import check_values, spatial_shape
from medfuse.io.dicom_input import is_dicom, read_dicom_pair, read_dicom_volume
from medfuse.io.modality import find_modality
from medfuse.io.sidecar import read_sidecar
from medfuse.io.volume_files import read_volume
from medfuse.options import MODALITIES, check_choice
from medfuse.progress import Progress
from medfuse.transforms.guess_modality import guess_modality

GUESSED = "guessed from the values"
_IN_MEMORY = "a volume in memory"
_NO_FILE = "volume"


def load_volume(
    source: str | Path | MetaTensor,
    modality: str | None = None,
    series: str | None = None,
    role: str = "wanted",
    progress: Progress | None = None,
) -> MetaTensor:
    """Read a volume, or take one that is in memory, and find out its modality.

    Args:
        source: a NIfTI, MHA, MHD or NRRD file; a folder, zip, DICOMDIR or file of DICOM; or a MetaTensor (1, X, Y, Z)
            with an affine in RAS mm.
        modality: ``"MR"``, ``"CT"``, ``"PT"`` or ``"NM"``; None takes it from the header, a BIDS sidecar or the file
            name, else guesses it from the values.
        series: which DICOM series: its UID, its number in ``medfuse series``, or its modality; None for the only one.
        role: of the volume, for messages.
        progress: told how far the reading of DICOM is.

    Returns:
        (1, X, Y, Z) float32; ``meta["modality"]`` and ``meta["modality_source"]`` say what it is and who says so;
        ``meta["units"]`` is what the sidecar or the volume itself states, if either does.

    Raises:
        InputError: if the file or volume cannot be used.
        OptionError: if the modality is not one of the four.
    """
    if isinstance(source, MetaTensor):
        volume = _copy(source)
    elif is_dicom(Path(source)):
        volume = read_dicom_volume(Path(source), series, role, progress)
    else:
        volume = read_volume(Path(source))
    return _described(volume, modality)


def load_study(
    study: str | Path,
    modalities: tuple[str | None, str | None],
    series: tuple[str | None, str | None],
    progress: Progress | None = None,
) -> tuple[MetaTensor, MetaTensor]:
    """Read the fixed and the moving volume from one folder, zip or DICOMDIR with several series.

    Args:
        study: where they lie.
        modalities: of the two volumes; see ``load_volume``.
        series: which series they are; see ``medfuse.io.dicom_input.read_dicom_pair``.
        progress: told how far the reading is.

    Raises:
        InputError: if there is no DICOM, or nothing of it can be used.
        OptionError: if it is not clear which series are meant.
    """
    fixed, moving = read_dicom_pair(Path(study), *series, progress)
    return _described(fixed, modalities[0]), _described(moving, modalities[1])


def _described(volume: MetaTensor, modality: str | None) -> MetaTensor:
    """Add what the volume is and who says so, and its units where the sidecar states them."""
    sidecar = read_sidecar(Path(str(volume.meta.get("filename_or_obj", _NO_FILE))))
    volume.meta["modality"], volume.meta["modality_source"] = _modality(volume, modality, sidecar)
    if isinstance(units := sidecar.get("Units"), str):
        volume.meta.setdefault("units", units)
    return volume


def _copy(volume: MetaTensor) -> MetaTensor:
    if volume.ndim != 4 or volume.shape[0] != 1:
        msg = f"a volume in memory has shape {tuple(volume.shape)}; give a MetaTensor (1, X, Y, Z)"
        raise InputError(msg)
    if volume.meta.get("space", "RAS") != "RAS":
        msg = f"a volume in memory has an affine in {volume.meta['space']}; give one in RAS mm"
        raise InputError(msg)
    copied: MetaTensor = volume.detach().cpu().clone().float()
    shape = spatial_shape(tuple(copied.shape[1:]), _IN_MEMORY)
    check_values(copied.as_tensor().numpy(), _IN_MEMORY)
    check_affine(copied.affine.numpy(), _IN_MEMORY, shape)
    return copied


def _modality(volume: MetaTensor, modality: str | None, sidecar: Mapping[str, Any]) -> tuple[str, str]:
    if modality is not None:
        check_choice("modality", modality, MODALITIES)
        return modality, "given"
    found = find_modality(str(volume.meta.get("filename_or_obj", _NO_FILE)), volume.meta, sidecar)
    if found is not None:
        return found.modality, found.source
    values: np.ndarray[Any, np.dtype[np.float32]] = volume.numpy()[0]
    return guess_modality(values, volume.affine.numpy()), GUESSED


class LoadVolumed(MapTransform):  # type: ignore[misc]
    """Replace the path under each key by its volume; see ``load_volume``.

    Args:
        keys: keys of the volumes.
        modality: modality of each key, None where it is to be found out.
        allow_missing_keys: skip keys that are absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        modality: Sequence[str | None] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modality = tuple(modality) if modality is not None else (None,) * len(self.keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with volumes in place of paths."""
        loaded = dict(data)
        for key, modality in self.key_iterator(data, self.modality):
            loaded[key] = load_volume(data[key], modality)
        return loaded
