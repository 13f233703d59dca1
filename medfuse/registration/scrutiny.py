"""The numbers behind a verdict, as ``configs/verdict.json`` states them."""

from __future__ import annotations

from dataclasses import dataclass

from medfuse.configs import read_config
from medfuse.registration.presets import Level


@dataclass(frozen=True)
class Scrutiny:
    """How closely a transform is looked at.

    Attributes:
        bins: histogram bins per scan.
        points: about how many points of the fixed head are compared.
        coarse_points: how many while the surroundings are searched.
        inner_bins: histogram bins in the middle of the brain.
        inner_points: how many points are compared there.
        inner_rim_mm: how far they are strewn about.
        inner_push_mm: distance of the poses with which the transform is compared there.
        rim_mm: how far points reach beyond the head.
        push_mm: distance of the poses with which the transform is compared to see whether it is a peak.
        rounds: how often the table of values that go together is learnt.
        steps: most steps of a climb in a round.
        tie: fraction by which a pose elsewhere has to be better to count.
        rotation_degrees: spacing of the rotations, three to each axis, of poses that do not depend on the transform.
        refined: how many poses elsewhere are refined, and how many of those.
        climbs: the climb to the best pose nearby, coarsest level first.
    """

    bins: int
    points: int
    coarse_points: int
    inner_bins: int
    inner_points: int
    inner_rim_mm: float
    inner_push_mm: float
    rim_mm: float
    push_mm: float
    rounds: int
    steps: int
    tie: float
    rotation_degrees: float
    refined: int
    climbs: tuple[Level, ...]


def load_scrutiny() -> Scrutiny:
    """Return the numbers of ``configs/verdict.json``."""
    numbers = dict(read_config("verdict")["sight"])
    return Scrutiny(climbs=tuple(Level(**level) for level in numbers.pop("climbs")), **numbers)
