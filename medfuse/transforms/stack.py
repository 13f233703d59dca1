"""Step 4 of 8, slice: both modalities as one two-channel image, in the order that the network knows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from medfuse.options import MODALITIES
from medfuse.transforms.volumes import NORMALIZED, on_grid_of


def fixed_comes_first(fixed_modality: str, moving_modality: str) -> bool:
    """Tell whether the fixed volume is the network's first channel: MR before CT before PT before NM."""
    return MODALITIES.index(fixed_modality) <= MODALITIES.index(moving_modality)


def stack_modalities(fixed: MetaTensor, moving: MetaTensor) -> MetaTensor:
    """Stack two normalized volumes on one grid; the order goes by modality, not by who is fixed.

    Args:
        fixed: (1, X, Y, Z) with ``meta["modality"]``.
        moving: the same, on the same grid.

    Returns:
        (2, X, Y, Z) with the fixed volume's affine; ``meta["channels"]`` names the modalities in order.
    """
    volumes = [fixed, moving]
    if not fixed_comes_first(str(fixed.meta["modality"]), str(moving.meta["modality"])):
        volumes.reverse()
    channels = tuple(str(volume.meta["modality"]) for volume in volumes)
    stacked = torch.cat([volume.as_tensor() for volume in volumes])
    return on_grid_of(fixed, stacked, {"channels": channels, "units": NORMALIZED})


class StackModalitiesd(Transform):  # type: ignore[misc]
    """Put both volumes under one key as channels; see ``stack_modalities``.

    Args:
        fixed_key: key of the fixed volume.
        moving_key: key of the registered moving volume.
        image_key: key of the result.
    """

    def __init__(self, fixed_key: str = "fixed", moving_key: str = "moving", image_key: str = "image") -> None:
        self.fixed_key = fixed_key
        self.moving_key = moving_key
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the image (2, X, Y, Z) added."""
        return {**data, self.image_key: stack_modalities(data[self.fixed_key], data[self.moving_key])}
