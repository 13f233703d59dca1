"""Step 3 of 8, normalize: values to [0, 1] by one window for the whole volume."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from medfuse.transforms.volumes import NORMALIZED, on_grid_of
from medfuse.transforms.windows import IntensityWindow, apply_window, choose_window


def normalize_intensity(volume: MetaTensor, choice: str = "auto") -> tuple[MetaTensor, IntensityWindow]:
    """Map a volume to [0, 1] through a window that suits its modality.

    Args:
        volume: (1, X, Y, Z) with ``meta["modality"]``.
        choice: ``"auto"``, the name of a preset, or ``"LOW,HIGH"``.

    Returns:
        The normalized volume and the window.

    Raises:
        OptionError: if there is no such window.
        IntensityError: if the volume is too flat for it.
    """
    window = volume_window(volume, choice)
    return through_window(volume, window), window


def volume_window(volume: MetaTensor, choice: str = "auto") -> IntensityWindow:
    """Choose the window of a volume from its modality, units and values; arguments as ``normalize_intensity``."""
    units = str(volume.meta.get("units", ""))
    return choose_window(volume.as_tensor().numpy(), str(volume.meta["modality"]), choice, units)


def through_window(volume: MetaTensor, window: IntensityWindow) -> MetaTensor:
    """Map a volume (1, X, Y, Z) to [0, 1] through a window, keeping its metadata."""
    values = torch.from_numpy(apply_window(volume.as_tensor().numpy(), window))
    return on_grid_of(volume, values, {"units": NORMALIZED})


class NormalizeModalityd(MapTransform):  # type: ignore[misc]
    """Normalize each volume by its own modality; see ``normalize_intensity``.

    Args:
        keys: keys of the volumes.
        window: window of each key.
        allow_missing_keys: skip keys that are absent.
    """

    def __init__(
        self, keys: KeysCollection, window: Sequence[str] | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = tuple(window) if window is not None else ("auto",) * len(self.keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with normalized volumes."""
        normalized = dict(data)
        for key, window in self.key_iterator(data, self.window):
            normalized[key], _ = normalize_intensity(data[key], window)
        return normalized
