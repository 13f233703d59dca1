"""From where on a figure gives rise to doubt, as ``configs/verdict.json`` states it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medfuse.configs import read_config


@dataclass(frozen=True)
class Limit:
    """Two steps of doubt; which side is the bad one goes with the figure.

    Attributes:
        warn: beyond this a person should look.
        fail: beyond this the transform is not to be used.
    """

    warn: float
    fail: float


@dataclass(frozen=True)
class Limits:
    """The limits of each figure; lengths are means over the fixed head.

    Attributes:
        error_mm: estimated error.
        apart_mm: distance between the two estimates of the best pose.
        flatness: information of poses pushed off the best one, over its own; 1 where nothing is a peak.
        information: nats at the best pose; below it the scans have nothing in common.
        overlap: fraction of the fixed head that the moving scan covers; less is worse.
        shape_mm: change of the head's shape that would improve the match.
        shape_evidence: that change in mm times what it gains.
        scale_mm: change of the head's size that would improve the match.
        scale_evidence: that change in mm times what it gains.
        bend_mm: smooth bending of the head that would improve the match.
        mirror_share: score left for right over the score as it is.
        inner_mirror_share: the same in the middle of a brain that is not symmetric itself; beyond it, mirrored.
        symmetry: likeness of the middle of a brain with its own mirror image, from where on it counts as symmetric.
        likeness: how well wrong places match, outside and inside the brain; beyond it, in doubt.
        outer_likeness: the same of scans that share their outline and little else.
        outline_likeness: from where on, over the whole head, scans may be such a pair ...
        outline_share: ... if what they share inside the brain is less than this, over what they share all over.
        outline_shape_mm: change of the head's shape that would improve the match of such a pair.
        scale_error: departure of the matrix from a rigid motion.
        turn_degrees: turn between the two scans.
    """

    error_mm: Limit
    apart_mm: Limit
    flatness: Limit
    information: Limit
    overlap: Limit
    shape_mm: Limit
    shape_evidence: Limit
    scale_mm: Limit
    scale_evidence: Limit
    bend_mm: Limit
    mirror_share: Limit
    inner_mirror_share: float
    symmetry: float
    likeness: float
    outer_likeness: float
    outline_likeness: float
    outline_share: float
    outline_shape_mm: float
    scale_error: Limit
    turn_degrees: Limit


def load_limits() -> Limits:
    """Return the limits of ``configs/verdict.json``."""
    numbers: dict[str, Any] = read_config("verdict")["limits"]
    limits: dict[str, Any] = {
        name: Limit(*value) if isinstance(value, list) else value for name, value in numbers.items()
    }
    return Limits(**limits)
