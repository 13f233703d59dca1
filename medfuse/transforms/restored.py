"""Before step 3 of 8, restore: a network takes the noise out of a volume, slice by slice, in the volume's own units.

Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor, nn

from medfuse.errors import OptionError
from medfuse.inferers.allocator import keep_freed_memory
from medfuse.inferers.device import memory_hint, resolve_device
from medfuse.inferers.slices import join_slices, spatial_dim_of, split_into_slices
from medfuse.inferers.slicewise import fuse_slices
from medfuse.io.nifti import DESCRIPTION_KEY
from medfuse.networks import COUNTS_WEIGHTS, CT_WEIGHTS, DEFAULT_WEIGHTS, build, weights_path
from medfuse.options import MODALITIES
from medfuse.progress import Progress
from medfuse.transforms.ct_units import FloatArray
from medfuse.transforms.restoration_scale import restoration_scale
from medfuse.transforms.volumes import meanings_of, on_grid_of

RESTORED = "restored by restormer"
_STORED = "stored values"
_SHIPPED = {"MR": DEFAULT_WEIGHTS, "CT": CT_WEIGHTS, "PT": COUNTS_WEIGHTS, "NM": COUNTS_WEIGHTS}


@dataclass(frozen=True)
class RestorationChange:
    """What restoring changed, in the units of the volume.

    Attributes:
        weights: name of the weights file of the network.
        units: of the two changes.
        rms: root of the mean square of the change, over all voxels.
        largest: the change that is largest, with its sign.
        place_mm: where that is, in RAS mm.
        changed_fraction: share of the voxels that changed at all.
    """

    weights: str
    units: str
    rms: float
    largest: float
    place_mm: tuple[float, float, float]
    changed_fraction: float

    @property
    def in_words(self) -> str:
        """Say it in a line."""
        place = ", ".join(f"{each:.0f}" for each in self.place_mm)
        return f"RMS change {self.rms:.3g} {self.units}, at most {self.largest:+.3g} at ({place}) mm"


@dataclass(frozen=True)
class Restoration:
    """A restored volume.

    Attributes:
        volume: (1, X, Y, Z) in its own units, with the metadata of the original.
        change: how it differs from the original.
    """

    volume: MetaTensor
    change: RestorationChange


@dataclass
class Restorers:
    """The networks that restore, one for each kind of noise, on a device.

    Attributes:
        device: where they run.
        weights: ``"default"`` for those shipped, by the modality, or the path of a weights file for all.
    """

    device: torch.device
    weights: str | Path = DEFAULT_WEIGHTS
    _built: dict[Path, nn.Module] = field(default_factory=dict, repr=False)

    def path(self, modality: str) -> Path:
        """Return the weights file for a modality: MR, CT, PT or NM."""
        chosen = _SHIPPED[modality] if str(self.weights) == DEFAULT_WEIGHTS else self.weights
        return weights_path("restormer", chosen)

    def network(self, modality: str) -> nn.Module:
        """Return the network for a modality: maps (N, 1, H, W) on the device to the same shape without noise.

        Raises:
            WeightsError: if the weights are not for a restorer.
            DeviceError: if they take more memory than the device has.
        """
        path = self.path(modality)
        if path not in self._built:
            keep_freed_memory()
            with memory_hint(self.device):
                network = build("restormer", path)
                self._built[path] = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._built[path]


def without_noise(
    volume: MetaTensor,
    network: Callable[[Tensor], Tensor],
    device: torch.device,
    plane: str = "auto",
    slices_per_batch: int = 4,
    progress: Progress | None = None,
) -> MetaTensor:
    """Return a volume that a network has restored; arguments, result and errors as ``restore_volume``.

    Args:
        volume: (1, X, Y, Z) with ``meta["modality"]``.
        network: maps (n, 1, H, W) on ``device`` to the same shape.
        device: where it runs.
        plane: plane of the slices.
        slices_per_batch: how many slices go through the network at once.
        progress: who is told how many slices are done.
    """
    values = _values(volume)
    scale = restoration_scale(values, _modality(volume))
    seen, inside = scale.apply(values)
    spatial_dim = spatial_dim_of(volume.affine.cpu().numpy(), plane)
    slices = split_into_slices(torch.from_numpy(seen)[None], spatial_dim)  # (N, 1, H, W)
    clean = join_slices(fuse_slices(slices, network, device, slices_per_batch, progress), spatial_dim)[0].numpy()
    restored = scale.undo(values, np.where(inside, clean - seen, np.float32(0.0)))
    meanings = {**meanings_of(volume), DESCRIPTION_KEY: _described(volume)}
    result = on_grid_of(volume, torch.from_numpy(restored)[None].to(volume.device), meanings)
    result.applied_operations = list(volume.applied_operations)
    return result


def restore_volume(
    volume: MetaTensor,
    restorers: Restorers,
    plane: str = "auto",
    slices_per_batch: int = 4,
    progress: Progress | None = None,
) -> Restoration:
    """Restore a volume of any size, slice by slice.

    Args:
        volume: (1, X, Y, Z) with ``meta["modality"]``.
        restorers: the networks.
        plane: plane of the slices, as for fusing.
        slices_per_batch: how many slices of up to 256 x 256 pixels go through the network at once.
        progress: who is told how many slices are done.

    Returns:
        The restored volume, and what changed. Where tissue lies outside the scale of ``restoration_scale``, values
        stay; PET, SPECT and MR do not become negative.

    Raises:
        OptionError: if the volume does not state its modality.
        WeightsError: if the weights are not for a restorer.
        IntensityError: if it is blank.
        DeviceError: if the device runs out of memory.
    """
    modality = _modality(volume)
    network, device = restorers.network(modality), restorers.device
    restored = without_noise(volume, network, device, plane, slices_per_batch, progress)
    return Restoration(restored, _change(volume, restored, restorers.path(modality).name))


class Restored(MapTransform):  # type: ignore[misc]
    """Restore each volume by its own modality; see ``restore_volume``. Put it before windows are applied.

    Args:
        keys: keys of the volumes.
        weights: ``"default"`` for those shipped, by the modality, or the path of a weights file for all.
        device: where the networks run: ``"auto"``, or a name that torch knows.
        plane: plane of the slices.
        slices_per_batch: how many slices go through the network at once.
        allow_missing_keys: skip keys that are absent.

    Raises:
        DeviceError: if the device is not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        weights: str | Path = DEFAULT_WEIGHTS,
        device: str = "cpu",
        plane: str = "auto",
        slices_per_batch: int = 4,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.restorers = Restorers(resolve_device(device), weights)
        self.plane, self.slices_per_batch = plane, slices_per_batch

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with restored volumes, each in its own units."""
        restored = dict(data)
        for key in self.key_iterator(restored):
            restored[key] = restore_volume(data[key], self.restorers, self.plane, self.slices_per_batch).volume
        return restored


def _modality(volume: MetaTensor) -> str:
    modality = volume.meta.get("modality")
    if modality not in MODALITIES:
        msg = f'meta["modality"] of the volume is {modality!r}; set one of {", ".join(MODALITIES)}'
        raise OptionError(msg)
    return str(modality)


def _described(volume: MetaTensor) -> str:
    before = volume.meta.get(DESCRIPTION_KEY)
    return RESTORED if not before else f"{before}; {RESTORED}"


def _values(volume: MetaTensor) -> FloatArray:
    """Return the values of a volume (1, X, Y, Z) as (X, Y, Z) float32."""
    return np.asarray(volume.as_tensor().cpu().numpy()[0], dtype=np.float32)


def _change(before: MetaTensor, after: MetaTensor, weights: str) -> RestorationChange:
    difference = _values(after).astype(np.float64) - _values(before)
    index = np.unravel_index(int(np.abs(difference).argmax()), difference.shape)
    x, y, z = (float(each) for each in (before.affine.cpu().numpy() @ np.array([*index, 1.0]))[:3])
    return RestorationChange(
        weights=weights,
        units=str(before.meta.get("units") or _STORED),
        rms=float(np.sqrt((difference**2).mean())),
        largest=float(difference[index]),
        place_mm=(x, y, z),
        changed_fraction=float((difference != 0.0).mean()),
    )
