"""Bundles: refuse a pair that the bundle was not made for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from medfuse.errors import InputError
from medfuse.options import MODALITIES, check_choice


class CheckModalitiesd(MapTransform):  # type: ignore[misc]
    """Check that the volumes are of the modalities that a network has learned, in any order.

    Args:
        keys: keys of the two volumes, which know their modality.
        expected: the two modalities, such as ``("MR", "CT")``; None accepts any pair.
    """

    def __init__(self, keys: KeysCollection, expected: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        for modality in expected or ():
            check_choice("modality", modality, MODALITIES)
        self.expected = None if expected is None else tuple(expected)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary as it was.

        Raises:
            InputError: naming what came and what was expected.
        """
        found = [str(data[key].meta["modality"]) for key in self.key_iterator(data)]
        if self.expected is not None and sorted(found) != sorted(self.expected):
            msg = (
                f"the volumes are {' and '.join(found)}, this bundle is for {' and '.join(self.expected)}; take "
                "another bundle, or say what they are by fixed_modality and moving_modality"
            )
            raise InputError(msg)
        return dict(data)
