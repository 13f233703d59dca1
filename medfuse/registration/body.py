"""Where the patient is in a scan: a mask without couch and air, and its centers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813

from medfuse.geometry import Points, apply_affine
from medfuse.registration.images import Image, affine_of, to_array

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

_PERCENTILES = (1.0, 98.0)
_OPENING_MM = 8.0
_SMALLEST_FRACTION = 0.01
_HEAD_HEIGHT_MM = 160.0


@dataclass(frozen=True)
class Body:
    """The patient's part of a scan.

    Attributes:
        mask: image of 0 and 1 on the grid that was searched.
        points_mm: (N, 3) RAS positions in mm of the voxels of the mask.
    """

    mask: Image
    points_mm: Points

    @property
    def center_mm(self) -> Points:
        """The middle of the whole body, (3,) in mm."""
        return np.asarray(self.points_mm.mean(axis=0))

    @property
    def head_center_mm(self) -> Points:
        """The middle of the upper 160 mm, (3,) in mm: the same place with and without a neck."""
        height = self.points_mm[:, 2]
        return np.asarray(self.points_mm[height >= height.max() - _HEAD_HEIGHT_MM].mean(axis=0))


def find_body(image: Image) -> Body:
    """Find the largest connected object brighter than Otsu's threshold.

    An opening cuts thin bridges, such as those between a head and its rest, before the largest piece is
    taken. If what is left is next to nothing, every voxel counts as body.

    Args:
        image: float32 image with voxels of a few millimetres.

    Returns:
        The mask and the positions of its voxels.
    """
    values = to_array(image)
    low, high = np.percentile(values, _PERCENTILES)
    clipped = sitk.Clamp(image, sitk.sitkFloat32, float(low), float(max(high, np.nextafter(low, np.inf))))
    mask = sitk.OtsuThreshold(clipped, 0, 1, 128)
    radius = [round(_OPENING_MM / step / 2.0) for step in image.GetSpacing()]
    opened = sitk.BinaryMorphologicalOpening(mask, radius, sitk.sitkBall)
    largest = _largest_piece(opened)
    if to_mask(largest).mean() < _SMALLEST_FRACTION:
        largest = image * 0.0 > -1.0
    largest = sitk.BinaryFillhole(largest)
    points = apply_affine(affine_of(largest), np.argwhere(to_mask(largest)).astype(np.float64))
    return Body(largest, points)


def to_mask(image: Image) -> Mask:
    """Return a mask image as a bool array, shape (X, Y, Z)."""
    return np.asarray(sitk.GetArrayViewFromImage(image).transpose(2, 1, 0) > 0)


def onto(mask: Image, image: Image) -> Image:
    """Bring a mask onto an image's grid, by the nearest voxel."""
    return sitk.Resample(mask, image, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkNearestNeighbor, 0)


def widen(mask: Image, margin_mm: float) -> Image:
    """Grow a mask by a margin, so that it takes in the border of the body and some air."""
    return within(distance_mm(mask), margin_mm)


def distance_mm(mask: Image) -> Image:
    """Return how far each voxel lies outside a mask; negative inside."""
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)


def within(distance: Image, margin_mm: float) -> Image:
    """Return the mask of the voxels that lie no farther outside than this."""
    return sitk.Cast(distance <= margin_mm, sitk.sitkUInt8)


def _largest_piece(mask: Image) -> Image:
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(mask), sortByObjectSize=True)
    return pieces == 1
