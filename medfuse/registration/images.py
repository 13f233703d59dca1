"""The edge to ITK: tensors and RAS affines in, SimpleITK images in LPS out.

ITK stores a volume as (z, y, x) and speaks LPS; nothing outside this module needs to know.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.geometry import Matrix, directions, lps_to_ras, ras_to_lps, spacing_mm, world_transform_to_lps

Image: TypeAlias = Any
Transform: TypeAlias = Any
Values: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def to_image(volume: torch.Tensor, affine_ras: Matrix) -> Image:
    """Make a SimpleITK image of a volume.

    Args:
        volume: (X, Y, Z), any real type; it is read as float32.
        affine_ras: (4, 4) index-to-RAS affine, in mm.

    Returns:
        A float32 SimpleITK image whose axes keep the order of the tensor's.
    """
    array = volume.detach().to(device="cpu", dtype=torch.float32).numpy()
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    spacing, origin, direction = grid_lps(affine_ras)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    return image


def grid_lps(affine_ras: Matrix) -> tuple[list[float], list[float], list[float]]:
    """Return the spacing in mm, origin and direction by which ITK knows an index-to-RAS affine."""
    affine_lps = ras_to_lps(affine_ras)
    return (
        spacing_mm(affine_lps).tolist(),
        affine_lps[:3, 3].tolist(),
        directions(affine_lps).ravel().tolist(),
    )


def affine_of(image: Image) -> Matrix:
    """Return the (4, 4) index-to-RAS affine of an image."""
    affine_lps = np.eye(4)
    affine_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine_lps[:3, 3] = image.GetOrigin()
    return lps_to_ras(affine_lps)


def to_array(image: Image) -> Values:
    """Return an image's values as a float32 array, shape (X, Y, Z)."""
    return np.asarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0), dtype=np.float32)


def like(mask: np.ndarray[Any, np.dtype[np.bool_]], image: Image) -> Image:
    """Make an image of 0 and 1 of a mask, (X, Y, Z), on the grid of an image."""
    made = sitk.GetImageFromArray(np.ascontiguousarray(mask.transpose(2, 1, 0), dtype=np.uint8))
    made.CopyInformation(image)
    return made


def to_transform(matrix_ras: Matrix) -> Transform:
    """Make an ITK transform of LPS points from a (4, 4) transform of RAS points."""
    matrix_lps = world_transform_to_lps(matrix_ras)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix_lps[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix_lps[:3, 3].tolist())
    return transform


def rigid_matrix(transform: Transform) -> Matrix:
    """Return the (4, 4) transform of RAS points that an ITK Euler transform of LPS points stands for."""
    matrix_lps = np.eye(4)
    rotation = np.reshape(transform.GetMatrix(), (3, 3))
    center = np.asarray(transform.GetCenter())
    matrix_lps[:3, :3] = rotation
    matrix_lps[:3, 3] = center + np.asarray(transform.GetTranslation()) - rotation @ center
    return world_transform_to_lps(matrix_lps)
