"""Step 3 of 8, normalize: values to [0, 1] by one window for the whole volume."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from medfuse.errors import IntensityError
from medfuse.transforms.volumes import NORMALIZED, WINDOW_KEY, meanings_of, on_grid_of
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
    values, modality = volume.as_tensor().numpy(), str(volume.meta["modality"])
    window = choose_window(values, modality, choice, str(volume.meta.get("units", "")))
    extremes = np.array([values.min(), values.max()])
    darkest, brightest = apply_window(extremes, window)  # it keeps the order of values
    if darkest == brightest:
        msg = (
            f"window {window.lower:g} to {window.upper:g} {window.units} ({window.source}) leaves no picture of the "
            f"{modality} volume, whose values go from {values.min():g} to {values.max():g}; give another window"
        )
        raise IntensityError(msg)
    return window


def through_window(volume: MetaTensor, window: IntensityWindow) -> MetaTensor:
    """Map a volume (1, X, Y, Z) to [0, 1] through a window, keeping its metadata."""
    values = torch.from_numpy(apply_window(volume.as_tensor().numpy(), window))
    return on_grid_of(volume, values, {**meanings_of(volume), "units": NORMALIZED, WINDOW_KEY: asdict(window)})


def black_outside(volume: MetaTensor, inside: MetaTensor) -> MetaTensor:
    """Set a normalized volume to 0 where its scan has not seen.

    Args:
        volume: (1, X, Y, Z).
        inside: bool, same shape.
    """
    return on_grid_of(volume, volume.as_tensor() * inside.as_tensor(), meanings_of(volume))


class NormalizeModalityd(MapTransform):  # type: ignore[misc]
    """Normalize each volume by its own modality; see ``normalize_intensity``.

    A volume that ``ChooseWindowd`` has seen keeps the window that was chosen there, from the values before resampling.

    Args:
        keys: keys of the volumes.
        window: window of each key that has none yet.
        inside_keys: for each key, the key of the mask of what its scan has seen, or None; it is black elsewhere.
        allow_missing_keys: skip keys that are absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        window: Sequence[str] | None = None,
        inside_keys: Sequence[str | None] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = tuple(window) if window is not None else ("auto",) * len(self.keys)
        self.inside_keys = tuple(inside_keys) if inside_keys is not None else (None,) * len(self.keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with normalized volumes."""
        normalized = dict(data)
        for key, choice, inside_key in self.key_iterator(data, self.window, self.inside_keys):
            normalized[key] = through_window(data[key], _noted_window(data[key]) or volume_window(data[key], choice))
            if inside_key is not None:
                normalized[key] = black_outside(normalized[key], data[inside_key])
        return normalized


def _noted_window(volume: MetaTensor) -> IntensityWindow | None:
    """Return the window that was chosen before, unless the volume has already gone through it."""
    noted = volume.meta.get(WINDOW_KEY)
    return None if noted is None or volume.meta.get("units") == NORMALIZED else IntensityWindow(**noted)
