"""The middle of the brain, where one patient differs from another and left from right."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.registration.images import Image, affine_of, to_array
from medfuse.registration.information import interpolate
from medfuse.registration.mirror import standardized

_DEPTH_MM = 30.0  # below the skin: past scalp, skull and the outer folds
_HEIGHT_MM = 105.0  # from the vertex down: above the skull's base, which is alike in all and left and right
_FEWEST_POINTS = 100


def inner_points(head_points_mm: Points) -> Points:
    """Pick the points that lie well inside the upper head.

    Args:
        head_points_mm: (N, 3) points spread evenly over the head, RAS mm.

    Returns:
        (M, 3) of them that have other points 30 mm away in every direction; all of them if there are next to none.
    """
    upper = head_points_mm[head_points_mm[:, 2] > head_points_mm[:, 2].max() - _HEIGHT_MM]
    tree = cKDTree(head_points_mm)
    apart = float(np.median(tree.query(head_points_mm, k=2)[0][:, 1]))
    directions = np.array([step for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)], dtype=np.float64) - 1.0
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    around = (upper[:, None] + _DEPTH_MM * directions).reshape(-1, 3)
    nearest = tree.query(around)[0].reshape(len(upper), -1).max(axis=1)
    inner = upper[nearest < 1.6 * apart + 2.0]
    return inner if len(inner) >= _FEWEST_POINTS else head_points_mm


def likeness(image: Image, points_mm: Points, reflection: Matrix) -> float:
    """Return the correlation, -1 .. 1, of an image with its own reflection at points, (N, 3) in RAS mm."""
    volume, to_index = to_array(image), np.asarray(np.linalg.inv(affine_of(image)))
    ends = np.asarray(volume.shape) - 1.0
    pair = []
    for matrix in (np.eye(4), reflection):
        values = interpolate(volume, np.clip(apply_affine(to_index @ matrix, points_mm), 0.0, ends))
        pair.append(standardized(values))
    return float((pair[0] * pair[1]).sum())
