"""Step 8 of 8, report: cutting and drawing planes of a volume as a radiologist sees them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from medfuse.geometry import ANATOMICAL_AXES, Matrix, anatomical_dim, directions, spacing_mm

Picture: TypeAlias = npt.NDArray[Any]

PLANES = ("axial", "coronal", "sagittal")
_EDGE_LABELS = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
_CHECKERBOARD_MM = 24.0


def canonical(volume: Picture, affine_ras: Matrix) -> Picture:
    """Turn a volume (X, Y, Z, ...) so that its axes run most nearly to the right, the front and the head."""
    order = [anatomical_dim(affine_ras, plane) for plane in ANATOMICAL_AXES]
    turned = np.transpose(volume, [*order, *range(3, volume.ndim)])
    signs = np.sign([directions(affine_ras)[row, column] for row, column in enumerate(order)])
    return np.flip(turned, axis=tuple(axis for axis, sign in enumerate(signs) if sign < 0))


def canonical_spacing(affine_ras: Matrix) -> npt.NDArray[np.float64]:
    """Return the spacing in mm of the axes of ``canonical``."""
    order = [anatomical_dim(affine_ras, plane) for plane in ANATOMICAL_AXES]
    return spacing_mm(affine_ras)[order]


def plane_picture(volume: Picture, plane: str, center: tuple[int, int, int]) -> Picture:
    """Cut a picture, rows down, from a canonical volume in radiological view (the patient's right on the left).

    Args:
        volume: (X, Y, Z, ...) with axes to the right, the front and the head.
        plane: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        center: the voxel that the plane goes through.
    """
    axis = ANATOMICAL_AXES[plane]
    picture = np.take(volume, center[axis], axis=axis)  # (first, second, ...) of the other two axes
    return np.swapaxes(picture[::-1, ::-1], 0, 1)


def checkerboard(first: Picture, second: Picture, spacing: npt.NDArray[np.float64]) -> Picture:
    """Take two volumes (X, Y, Z, 3) in turn, in cubes of 24 mm, so that edges can be followed across."""
    cubes = [
        (np.arange(size) * step // _CHECKERBOARD_MM).astype(int)
        for size, step in zip(first.shape[:3], spacing, strict=True)
    ]
    parity = (cubes[0][:, None, None] + cubes[1][None, :, None] + cubes[2][None, None, :]) % 2
    return np.where(parity[..., None] == 0, first, second)


def middle(gray: Picture) -> tuple[int, int, int]:
    """Return the voxel in the middle of what is bright in a volume (X, Y, Z)."""
    bright = np.argwhere(gray >= min(gray.mean(), gray.max()))
    x, y, z = (round(float(index)) for index in bright.mean(axis=0))
    return x, y, z


def draw_plane(
    axis: Axes,
    volume: Picture,
    plane: str,
    center: tuple[int, int, int],
    spacing: npt.NDArray[np.float64],
    title: str,
) -> None:
    """Draw one plane of a canonical volume in [0, 1], with its sides marked.

    Args:
        axis: where to draw.
        volume: (X, Y, Z, 3) with axes to the right, the front and the head.
        plane: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        center: the voxel that the plane goes through.
        spacing: (3,) spacing of the volume's axes in mm.
        title: what is written above; empty for nothing.
    """
    columns, rows = [spacing[index] for index in range(3) if index != ANATOMICAL_AXES[plane]]
    picture = plane_picture(volume, plane, center)
    axis.imshow(picture, aspect=float(rows / columns), interpolation="bilinear", vmin=0.0, vmax=1.0)
    axis.set_axis_off()
    if title:
        axis.set_title(title, color="white", fontsize=12)
    left, right, top, bottom = _EDGE_LABELS[plane]
    for text, x, y in ((left, 0.03, 0.5), (right, 0.97, 0.5), (top, 0.5, 0.96), (bottom, 0.5, 0.04)):
        axis.text(x, y, text, color="gold", fontsize=9, ha="center", va="center", transform=axis.transAxes)
