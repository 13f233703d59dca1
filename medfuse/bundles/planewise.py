"""Bundles: fuse volumes slice by slice in the plane that suits each, as the main job does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from medfuse.errors import InputError
from medfuse.inferers.slices import spatial_dim_of
from medfuse.inferers.slicewise import SlicewiseInferer
from medfuse.options import PLANES, check_choice


class VolumesInferer(Inferer):  # type: ignore[misc]
    """What treats each volume of a batch slice by slice.

    Args:
        plane: ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"auto"`` for the plane of finest spacing.
        slices_per_batch: how many slices of up to 256 x 256 pixels go through the network at once.
    """

    def __init__(self, plane: str = "auto", slices_per_batch: int = 4) -> None:
        check_choice("plane", plane, PLANES)
        self.plane = plane
        self.slices_per_batch = slices_per_batch


def check_volumes(inputs: Tensor) -> MetaTensor:
    """Return a batch of volumes (B, C, X, Y, Z) that know what they are.

    Raises:
        InputError: if it is no MetaTensor, or not of volumes.
    """
    if not isinstance(inputs, MetaTensor) or inputs.ndim != 5:
        msg = f"the network's input is {type(inputs).__name__} {tuple(inputs.shape)}; give a MetaTensor of volumes"
        raise InputError(msg)
    return inputs


class PlanewiseInferer(VolumesInferer):
    """Let a network of two-channel images fuse volumes; ``SlicewiseInferer`` along the axis that a plane asks for."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Map volumes (B, 2, X, Y, Z) in [0, 1], as a MetaTensor with their affines, to (B, 1, X, Y, Z).

        Raises:
            InputError: if the volumes do not say how they lie.
        """
        known = check_volumes(inputs)
        affines = known.affine.expand(len(known), 4, 4)
        fused = [
            self._inferer(affine)(volume[None], network, *args, **kwargs)
            for volume, affine in zip(known.as_tensor(), affines, strict=True)
        ]
        joined: Tensor = MetaTensor(torch.cat(fused)).copy_meta_from(known)
        return joined

    def _inferer(self, affine_ras: Tensor) -> SlicewiseInferer:
        return SlicewiseInferer(spatial_dim_of(affine_ras.cpu().numpy(), self.plane), self.slices_per_batch)
