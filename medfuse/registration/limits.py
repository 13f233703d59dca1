"""From where on a figure gives rise to doubt, as ``configs/verdict.json`` states it."""

from __future__ import annotations

from dataclasses import dataclass

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
        inner_mirror_share: the same in the middle of a brain that is not symmetric itself.
        inner_information: nats in the middle of a symmetric brain; below it one patient looks like another.
        symmetry: likeness of the middle of a brain with its own mirror image, from where on it counts as symmetric.
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
    inner_mirror_share: Limit
    inner_information: Limit
    symmetry: float
    scale_error: Limit
    turn_degrees: Limit


def load_limits() -> Limits:
    """Return the limits of ``configs/verdict.json``."""
    numbers = dict(read_config("verdict")["limits"])
    symmetry = numbers.pop("symmetry")
    return Limits(symmetry=symmetry, **{name: Limit(*pair) for name, pair in numbers.items()})
