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
from medfuse.geometry import Matrix, same_view
from medfuse.io.transform_files import invert_transform
from medfuse.registration.images import grid_lps, to_array, to_image, to_transform
from medfuse.registration.resample import resample_to
from medfuse.registration.warp import Displacement, invert_displacement, to_warp
from medfuse.transforms.volumes import meanings_of, on_grid_of

NEAREST, LINEAR = "nearest", "bilinear"  # as MONAI names them; ``Invertd`` turns the second into the first
_NODES_MM = 4.0  # between the nodes of an inverted deformation
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
        displacement: what a deformation adds to it.
        grid_meta: metadata of the moving volume that belong to its grid.
    """

    fixed_shape: tuple[int, ...]
    fixed_affine: Matrix
    moving_shape: tuple[int, ...]
    moving_affine: Matrix
    fixed_to_moving_ras: Matrix
    displacement: Displacement | None
    grid_meta: dict[str, Any]

    @classmethod
    def between(
        cls, fixed: MetaTensor, moving: MetaTensor, fixed_to_moving_ras: Matrix, added: Displacement | None = None
    ) -> WayBack:
        """Note two grids, the transform between them, and what a deformation adds to it."""
        kept = on_grid_of(moving, moving.as_tensor()).meta  # without what the values mean
        return cls(
            tuple(fixed.shape[1:]),
            fixed.affine.numpy(),
            tuple(moving.shape[1:]),
            moving.affine.numpy(),
            fixed_to_moving_ras,
            added,
            {key: value for key, value in kept.items() if isinstance(value, _SIMPLE)},
        )

    def noted(self, mode: str) -> dict[str, Any]:
        """Return this as MONAI keeps it with a traced transform: numbers, texts and tensors only."""
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        if self.displacement is not None:
            added = self.displacement
            plain["displacement"] = {"values_mm": added.values_mm, "affine_ras": added.affine_ras.tolist()}
        return {**plain, "mode": mode}

    @classmethod
    def from_noted(cls, noted: dict[str, Any]) -> tuple[WayBack, str]:
        """Undo ``noted``; return the mode too."""
        added = noted["displacement"]
        way = cls(
            tuple(noted["fixed_shape"]),
            np.array(noted["fixed_affine"]),
            tuple(noted["moving_shape"]),
            np.array(noted["moving_affine"]),
            np.array(noted["fixed_to_moving_ras"]),
            None if added is None else Displacement(added["values_mm"], np.array(added["affine_ras"])),
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
    inverted = _inverted(way)
    values = torch.stack([look_up(channel, way, *inverted) for channel in volume.as_tensor()])
    meta = {**way.grid_meta, **meanings_of(volume)}
    return MetaTensor(values.to(volume.device), affine=torch.from_numpy(way.moving_affine.copy()), meta=meta)


def _linear(channel: Tensor, way: WayBack, back: Matrix, added: Displacement | None) -> Tensor:
    shape = (way.moving_shape[0], way.moving_shape[1], way.moving_shape[2])
    return resample_to(channel, way.fixed_affine, shape, way.moving_affine, back, added)[0]


def _nearest(channel: Tensor, way: WayBack, back: Matrix, added: Displacement | None) -> Tensor:
    spacing, origin, direction = grid_lps(way.moving_affine)
    transform = to_transform(back) if added is None else to_warp(back, added)
    image = to_image(channel, way.fixed_affine)
    found = sitk.Resample(
        image, way.moving_shape, transform, sitk.sitkNearestNeighbor, origin, spacing, direction, 0.0, sitk.sitkFloat32
    )
    return torch.from_numpy(np.ascontiguousarray(to_array(found))).to(channel.dtype)


def _inverted(way: WayBack) -> tuple[Matrix, Displacement | None]:
    """Return the transform from the moving world to the fixed one, and what is added to it there."""
    if way.displacement is None:
        return invert_transform(way.fixed_to_moving_ras), None
    shape = (way.moving_shape[0], way.moving_shape[1], way.moving_shape[2])
    lattice, nodes = same_view(way.moving_affine, shape, _NODES_MM)
    inverse = invert_displacement(way.fixed_to_moving_ras, way.displacement, nodes, lattice)
    return inverse.start_ras, inverse.displacement


def _named(shape: tuple[int, ...]) -> str:
    return " x ".join(str(count) for count in shape)
