"""Steps 4 to 6 of 8: slice, network and assemble as one MONAI transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from medfuse.inferers.device import resolve_device
from medfuse.inferers.method import fusion_method, resolve_method
from medfuse.inferers.slices import spatial_dim_of
from medfuse.inferers.slicewise import fuse_volume
from medfuse.options import AUTO_METHOD, METHODS, PLANES, check_choice
from medfuse.transforms.volumes import NORMALIZED, on_grid_of


def keep_fixed_outside(fused: Tensor, fixed: Tensor, inside: Tensor) -> Tensor:
    """Take the fixed volume where the moving scan has not seen: no picture is invented there.

    Args:
        fused: (1, X, Y, Z) in [0, 1], or a batch of it.
        fixed: the normalized fixed volume, same shape.
        inside: bool or 0 and 1, same shape.
    """
    return torch.where(inside.bool(), fused, fixed)


class FuseSlicesd(Transform):  # type: ignore[misc]
    """Fuse the two channels of an image slice by slice.

    Where the dictionary holds a mask of what the moving scan has seen, the fixed volume is kept outside of it.

    Args:
        image_key: key of the image, (2, X, Y, Z) or a batch (B, 2, X, Y, Z), in [0, 1].
        pred_key: key of the fused volume, (1, X, Y, Z) or (B, 1, X, Y, Z).
        method: as in ``medfuse.FusionOptions``.
        weights: of the network, ``"default"`` or a path.
        plane: ``"auto"``, ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        device: ``"auto"`` or a torch device.
        slices_per_batch: how many slices go through the network at once.
        fixed_key: key of the normalized fixed volume.
        inside_key: key of the mask.
    """

    def __init__(
        self,
        image_key: str = "image",
        pred_key: str = "pred",
        method: str = AUTO_METHOD,
        weights: str = "default",
        plane: str = "auto",
        device: str = "auto",
        slices_per_batch: int = 4,
        fixed_key: str = "fixed",
        inside_key: str = "inside",
    ) -> None:
        check_choice("method", method, (AUTO_METHOD, *METHODS))
        check_choice("plane", plane, PLANES)
        self.image_key = image_key
        self.pred_key = pred_key
        self.plane = plane
        self.device = resolve_device(device)
        self.network = fusion_method(resolve_method(method, weights, self.device), weights, self.device)
        self.slices_per_batch = slices_per_batch
        self.fixed_key = fixed_key
        self.inside_key = inside_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the fused volume added."""
        image = data[self.image_key]
        if image.ndim == 5:
            affines = image.affine if image.affine.ndim == 3 else image.affine.expand(len(image), -1, -1)
            pairs = zip(image.as_tensor(), affines, strict=True)
            fused = torch.stack([self._fuse(one, affine) for one, affine in pairs])
        else:
            fused = self._fuse(image.as_tensor(), image.affine)
        if self.inside_key in data:
            fused = keep_fixed_outside(fused, data[self.fixed_key].as_tensor(), data[self.inside_key].as_tensor())
        return {**data, self.pred_key: on_grid_of(image, fused, {"units": NORMALIZED})}

    def _fuse(self, image: Tensor, affine: Tensor) -> Tensor:
        spatial_dim = spatial_dim_of(affine.numpy(), self.plane)
        return fuse_volume(image, self.network, self.device, spatial_dim, self.slices_per_batch)
