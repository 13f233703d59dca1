"""How far a registration is from the truth, in millimetres and degrees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.errors import OptionError
from medfuse.geometry import Matrix, Points, apply_affine


@dataclass(frozen=True)
class AlignmentError:
    """Distances between where a transform takes points and where they belong, in mm.

    Attributes:
        mean_mm: mean over the points.
        p95_mm: 95th percentile.
        max_mm: the largest.
    """

    mean_mm: float
    p95_mm: float
    max_mm: float


def target_registration_error_mm(found: Matrix, true: Matrix, points: Points) -> AlignmentError:
    """Measure the target registration error of a transform.

    The error at a target is the distance between its images under the two transforms (Fitzpatrick, West and
    Maurer, "Predicting error in rigid-body point-based registration", IEEE TMI 1998).

    Args:
        found: (4, 4) world transform found, fixed to moving, RAS mm.
        true: (4, 4) world transform known to be right.
        points: (N, 3) targets in the world of the fixed volume, RAS mm.

    Returns:
        Mean, 95th percentile and largest error.

    Raises:
        OptionError: if there are no points, or they are not (N, 3).
    """
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        msg = f"points has shape {points.shape}; give at least one target, shape (N, 3)"
        raise OptionError(msg)
    errors = np.linalg.norm(apply_affine(found, points) - apply_affine(true, points), axis=1)
    return AlignmentError(float(errors.mean()), float(np.percentile(errors, 95)), float(errors.max()))


def rotation_error_degrees(found: Matrix, true: Matrix) -> float:
    """Return the angle, 0 to 180 degrees, by which two rigid transforms turn differently.

    Args:
        found: (4, 4) rigid transform.
        true: (4, 4) rigid transform.

    Returns:
        The angle of the rotation that leads from one to the other.
    """
    between = found[:3, :3] @ true[:3, :3].T
    axis = np.array([between[2, 1] - between[1, 2], between[0, 2] - between[2, 0], between[1, 0] - between[0, 1]])
    # The arc tangent keeps its precision near 0, where the arc cosine of the trace loses half its digits.
    return float(np.degrees(np.arctan2(np.linalg.norm(axis), np.trace(between) - 1.0)))


def translation_error_mm(found: Matrix, true: Matrix, center_mm: Points) -> float:
    """Return the distance in mm between the images of one point, such as the middle of the head.

    Args:
        found: (4, 4) rigid transform.
        true: (4, 4) rigid transform.
        center_mm: (3,) point in the world of the fixed volume; a transform's translation means nothing
            without the point it is taken at.

    Returns:
        The distance.
    """
    return float(np.linalg.norm(apply_affine(found, center_mm) - apply_affine(true, center_mm)))
