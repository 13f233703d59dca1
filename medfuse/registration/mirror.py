"""Whether the moving scan fits as well left for right."""

from __future__ import annotations

import numpy as np

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.images import affine_of, to_array
from medfuse.registration.information import interpolate
from medfuse.registration.scans import Scans

_TURNS_DEGREES = range(-40, 41, 10)
_OFFSETS_MM = (-8.0, 0.0, 8.0)
_MOST_POINTS = 1500


def symmetry_plane(scans: Scans) -> tuple[Matrix, float]:
    """Find the plane about which the fixed head is most nearly its own mirror image.

    Planes within 40 degrees of the sagittal one and 8 mm of the head's middle are tried.

    Args:
        scans: the two scans; only the fixed one on its coarsest level is looked at.

    Returns:
        The (4, 4) reflection of fixed RAS points, and the correlation, -1 .. 1, of the head with its image.
    """
    image = scans.pairs[0].fixed
    volume, to_index = to_array(image), np.linalg.inv(affine_of(image))
    points = scans.head_points_mm[:: max(1, len(scans.head_points_mm) // _MOST_POINTS)]
    ends = np.asarray(volume.shape) - 1.0

    def look(matrix: Matrix) -> Points:
        return interpolate(volume, np.clip(apply_affine(to_index @ matrix, points), 0.0, ends))

    ours = standardized(look(np.eye(4)))
    found = [(float(ours @ standardized(look(plane))), plane) for plane in _planes(points.mean(axis=0))]
    likeness, plane = max(found, key=lambda pair: pair[0])
    return plane, likeness


def _planes(center: Points) -> list[Matrix]:
    planes = []
    for yaw in np.radians(_TURNS_DEGREES):
        for roll in np.radians(_TURNS_DEGREES):
            normal = np.array([np.cos(yaw) * np.cos(roll), np.sin(yaw) * np.cos(roll), np.sin(roll)])
            for offset in _OFFSETS_MM:
                matrix = np.eye(4)
                matrix[:3, :3] -= 2.0 * np.outer(normal, normal)
                matrix[:3, 3] = 2.0 * normal * (normal @ center + offset)
                planes.append(matrix)
    return planes


def standardized(values: Points) -> Points:
    """Shift and scale values to a mean of 0 and a length of 1."""
    centered = values - values.mean()
    return np.asarray(centered / max(float(np.linalg.norm(centered)), 1e-12))
