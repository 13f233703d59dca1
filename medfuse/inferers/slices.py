"""Steps 4 and 6 of 8, slice and assemble: a volume as a stack of slices, and back."""

from __future__ import annotations

from torch import Tensor

from medfuse.geometry import Matrix, anatomical_dim, spacing_mm

_EQUAL_SPACING_MM = 0.05


def spatial_dim_of(affine_ras: Matrix, plane: str) -> int:
    """Return the spatial axis that slices of a plane are stacked along.

    Args:
        affine_ras: (4, 4) index-to-RAS affine of the grid.
        plane: ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"auto"`` for the plane of finest in-plane spacing
            (axial where all spacings are equal).
    """
    if plane != "auto":
        return anatomical_dim(affine_ras, plane)
    spacing = spacing_mm(affine_ras)
    if float(spacing.max() - spacing.min()) < _EQUAL_SPACING_MM:
        return anatomical_dim(affine_ras, "axial")
    return int(spacing.argmax())


def split_into_slices(volume: Tensor, spatial_dim: int) -> Tensor:
    """Cut a volume into slices.

    Args:
        volume: (C, X, Y, Z).
        spatial_dim: axis 0, 1 or 2 of (X, Y, Z) that the slices are stacked along.

    Returns:
        (N, C, H, W), a view where the layout allows; N is the size of that axis, H and W the other two in order.
    """
    return volume.movedim(spatial_dim + 1, 0)  # (N, C, H, W)


def join_slices(slices: Tensor, spatial_dim: int) -> Tensor:
    """Assemble slices into a volume; the inverse of ``split_into_slices``.

    Args:
        slices: (N, C, H, W).
        spatial_dim: axis 0, 1 or 2 of the volume that they are stacked along.

    Returns:
        (C, X, Y, Z), contiguous.
    """
    return slices.movedim(0, spatial_dim + 1).contiguous()


def slices_with_picture(slices: Tensor) -> Tensor:
    """Tell which slices hold anything.

    Args:
        slices: (N, C, H, W).

    Returns:
        (N,) bool; False where every channel is black.
    """
    return slices.flatten(1).amax(dim=1) > 0.0
