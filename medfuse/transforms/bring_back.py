"""Step 2 of 8, register: the other way, from the fixed grid back onto the grid of the moving volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import MetaTensor
from torch import Tensor

from medfuse.errors import GeometryError
from medfuse.geometry import Matrix
from medfuse.io.transform_files import invert_transform
from medfuse.registration.images import grid_lps, to_array, to_image, to_transform
from medfuse.registration.resample import resample_to
from medfuse.transforms.volumes import meanings_of, on_grid_of

NEAREST, LINEAR = "nearest", "bilinear"  # as MONAI names them; ``Invertd`` turns the second into the first
_SIMPLE = (str, int, float, bool)


@dataclass(frozen=True, eq=False)
class WayBack:
    """Where a volume came from when it was brought onto the fixed grid.

    Attributes:
        fixed_shape: (X, Y, Z) of the fixed grid.
        fixed_affine: its (4, 4) index-to-RAS affine in mm.
        moving_shape: (X', Y', Z') of the moving grid.
        moving_affine: its (4, 4) index-to-RAS affine.
        fixed_to_moving_ras: (4, 4) transform of RAS points.
        grid_meta: metadata of the moving volume that belong to its grid.
    """

    fixed_shape: tuple[int, ...]
    fixed_affine: Matrix
    moving_shape: tuple[int, ...]
    moving_affine: Matrix
    fixed_to_moving_ras: Matrix
    grid_meta: dict[str, Any]

    @classmethod
    def between(cls, fixed: MetaTensor, moving: MetaTensor, fixed_to_moving_ras: Matrix) -> WayBack:
        """Note two grids and the transform between them."""
        kept = on_grid_of(moving, moving.as_tensor()).meta  # without what the values mean
        return cls(
            tuple(fixed.shape[1:]),
            fixed.affine.numpy(),
            tuple(moving.shape[1:]),
            moving.affine.numpy(),
            fixed_to_moving_ras,
            {key: value for key, value in kept.items() if isinstance(value, _SIMPLE)},
        )

    def noted(self, mode: str) -> dict[str, Any]:
        """Return this as MONAI keeps it with a traced transform: numbers and texts only."""
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        return {**plain, "mode": mode}

    @classmethod
    def from_noted(cls, noted: dict[str, Any]) -> tuple[WayBack, str]:
        """Undo ``noted``; return the mode too."""
        way = cls(
            tuple(noted["fixed_shape"]),
            np.array(noted["fixed_affine"]),
            tuple(noted["moving_shape"]),
            np.array(noted["moving_affine"]),
            np.array(noted["fixed_to_moving_ras"]),
            noted["grid_meta"],
        )
        return way, str(noted["mode"])


def bring_back(volume: MetaTensor, way: WayBack, mode: str = LINEAR) -> MetaTensor:
    """Resample what lies on the fixed grid onto the moving grid.

    Args:
        volume: (C, X, Y, Z).
        way: the two grids and the transform.
        mode: ``"bilinear"``, which gives float32 and outside the fixed grid each channel's smallest value; or
            ``"nearest"`` for labels, which keeps their type and gives 0 there.

    Returns:
        (C, X', Y', Z') with the moving volume's affine; what the values mean stays as it was.

    Raises:
        GeometryError: if the volume does not have the shape of the fixed grid.
    """
    if tuple(volume.shape[1:]) != tuple(way.fixed_shape):
        msg = (
            f"a volume of {_named(volume.shape[1:])} voxels does not lie on the fixed grid, which has "
            f"{_named(way.fixed_shape)}; undo first what changed its size"
        )
        raise GeometryError(msg)
    look_up = _nearest if mode == NEAREST else _linear
    values = torch.stack([look_up(channel, way) for channel in volume.as_tensor()])
    meta = {**way.grid_meta, **meanings_of(volume)}
    return MetaTensor(values.to(volume.device), affine=torch.from_numpy(way.moving_affine.copy()), meta=meta)


def _linear(channel: Tensor, way: WayBack) -> Tensor:
    shape = (way.moving_shape[0], way.moving_shape[1], way.moving_shape[2])
    inverse = invert_transform(way.fixed_to_moving_ras)
    return resample_to(channel, way.fixed_affine, shape, way.moving_affine, inverse)[0]


def _nearest(channel: Tensor, way: WayBack) -> Tensor:
    spacing, origin, direction = grid_lps(way.moving_affine)
    transform = to_transform(invert_transform(way.fixed_to_moving_ras))
    image = to_image(channel, way.fixed_affine)
    found = sitk.Resample(
        image, way.moving_shape, transform, sitk.sitkNearestNeighbor, origin, spacing, direction, 0.0, sitk.sitkFloat32
    )
    return torch.from_numpy(np.ascontiguousarray(to_array(found))).to(channel.dtype)


def _named(shape: tuple[int, ...]) -> str:
    return " x ".join(str(count) for count in shape)
