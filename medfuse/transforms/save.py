"""Step 7 of 8, write: a volume of the dictionary as a file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from medfuse.io.volume_files import write_volume


class SaveVolumed(MapTransform):  # type: ignore[misc]
    """Write the volume under each key to the path under another key; see ``medfuse.io.volume_files.write_volume``.

    Args:
        keys: keys of the volumes.
        path_key_postfix: appended to a key to find the key of its path, such as ``"pred_path"``.
        allow_missing_keys: skip keys that are absent.
    """

    def __init__(self, keys: KeysCollection, path_key_postfix: str = "_path", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.path_key_postfix = path_key_postfix

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files and return the dictionary as it was."""
        for key in self.key_iterator(data):
            write_volume(data[key], data[f"{key}{self.path_key_postfix}"])
        return dict(data)
