"""Bundles: what comes out of the network becomes the result, as the main job's last step before writing makes it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from medfuse.io.nifti import DESCRIPTION_KEY
from medfuse.transforms.fuse import keep_fixed_outside
from medfuse.transforms.volumes import NORMALIZED, on_grid_of


class KeepFixedOutsided(Transform):  # type: ignore[misc]
    """Take the fixed volume where the moving scan has not seen, and say in the result what the registration is worth.

    Args:
        pred_key: key of the fused volume (1, X, Y, Z), on any device; the result is on the CPU.
        fixed_key: key of the normalized fixed volume.
        moving_key: key of the registered moving volume, which knows the verdict.
        inside_key: key of the mask of what the moving scan has seen.
    """

    def __init__(
        self, pred_key: str = "pred", fixed_key: str = "fixed", moving_key: str = "moving", inside_key: str = "inside"
    ) -> None:
        self.pred_key = pred_key
        self.fixed_key = fixed_key
        self.moving_key = moving_key
        self.inside_key = inside_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the result in place of what the network drew."""
        fixed, pred = data[self.fixed_key], data[self.pred_key].as_tensor().cpu()
        values = keep_fixed_outside(pred, fixed.as_tensor(), data[self.inside_key].as_tensor())
        verdict = data[self.moving_key].meta[DESCRIPTION_KEY]
        return {**data, self.pred_key: on_grid_of(fixed, values, {"units": NORMALIZED, DESCRIPTION_KEY: verdict})}
