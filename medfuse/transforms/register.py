"""Step 2 of 8, register: the moving volume on the grid of the fixed one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from medfuse.options import RegistrationOptions
from medfuse.progress import Progress
from medfuse.registration.resample import resample_to
from medfuse.registration.rigid import RigidRegistration, register_rigid
from medfuse.transforms.volumes import meanings_of, on_grid_of


@dataclass(frozen=True)
class Registered:
    """The moving volume as seen from the fixed grid.

    Attributes:
        moving: (1, X, Y, Z) on the fixed grid, in the moving volume's own units.
        inside: (1, X, Y, Z) bool, where the moving scan has seen; elsewhere ``moving`` is its smallest value.
        registration: the transform and the figures that speak for or against it.
    """

    moving: MetaTensor
    inside: MetaTensor
    registration: RigidRegistration


def register_to_fixed(
    fixed: MetaTensor, moving: MetaTensor, options: RegistrationOptions, progress: Progress | None = None
) -> Registered:
    """Register the moving volume and resample it onto the fixed grid.

    Args:
        fixed: (1, X, Y, Z).
        moving: (1, X', Y', Z').
        options: how to register.
        progress: who is told how far the search is.

    Raises:
        OverlapError: if the two volumes do not meet and no registration was asked for.
        RegistrationError: if no pose brings the two together.
    """
    fixed_values, moving_values = fixed.as_tensor()[0], moving.as_tensor()[0]
    fixed_affine, moving_affine = fixed.affine.numpy(), moving.affine.numpy()
    same_frame = _same_frame(fixed, moving)
    found = register_rigid(
        fixed_values, fixed_affine, moving_values, moving_affine, options, progress, same_frame=same_frame
    )
    shape = (fixed.shape[1], fixed.shape[2], fixed.shape[3])
    resampled, inside = resample_to(moving_values, moving_affine, shape, fixed_affine, found.fixed_to_moving_ras)
    return Registered(
        moving=on_grid_of(fixed, resampled[None], meanings_of(moving)),
        inside=on_grid_of(fixed, inside[None], {"units": "inside the moving scan"}),
        registration=found,
    )


class RegisterToFixedd(Transform):  # type: ignore[misc]
    """Replace the moving volume by itself on the fixed grid; see ``register_to_fixed``.

    Args:
        fixed_key: key of the fixed volume.
        moving_key: key of the moving volume.
        options: how to register; None for the defaults.
        inside_key: key under which the field-of-view mask (1, X, Y, Z) is put.
        transform_key: key under which the (4, 4) fixed-to-moving transform of RAS points in mm is put.
    """

    def __init__(
        self,
        fixed_key: str = "fixed",
        moving_key: str = "moving",
        options: RegistrationOptions | None = None,
        inside_key: str = "inside",
        transform_key: str = "fixed_to_moving_ras",
    ) -> None:
        self.fixed_key = fixed_key
        self.moving_key = moving_key
        self.options = options or RegistrationOptions()
        self.inside_key = inside_key
        self.transform_key = transform_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the registered volume, its mask and the transform."""
        registered = register_to_fixed(data[self.fixed_key], data[self.moving_key], self.options)
        return {
            **data,
            self.moving_key: registered.moving,
            self.inside_key: registered.inside,
            self.transform_key: torch.from_numpy(registered.registration.fixed_to_moving_ras.copy()),
        }


def _same_frame(fixed: MetaTensor, moving: MetaTensor) -> bool:
    """Tell whether a scanner vouches that both volumes lie in one frame of reference."""
    frames = [str(volume.meta.get("frame_of_reference_uid") or "") for volume in (fixed, moving)]
    return frames[0] != "" and frames[0] == frames[1]
