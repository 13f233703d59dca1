"""Step 3 of 8, normalize: the window is chosen from the values as they were read, before resampling changes them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from medfuse.transforms.normalize import volume_window
from medfuse.transforms.volumes import WINDOW_KEY


class ChooseWindowd(MapTransform):  # type: ignore[misc]
    """Note in ``meta["intensity_window"]`` the window for ``NormalizeModalityd``; put it before ``RegisterToFixedd``.

    Args:
        keys: keys of the volumes.
        window: window of each key: ``"auto"``, the name of a preset, or ``"LOW,HIGH"``.
        allow_missing_keys: skip keys that are absent.
    """

    def __init__(
        self, keys: KeysCollection, window: Sequence[str] | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = tuple(window) if window is not None else ("auto",) * len(self.keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with volumes that know their window."""
        chosen = dict(data)
        for key, choice in self.key_iterator(data, self.window):
            chosen[key] = data[key].clone()
            chosen[key].meta[WINDOW_KEY] = asdict(volume_window(data[key], choice))
        return chosen
