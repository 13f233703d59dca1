"""The numbers behind a registration, by name, as ``configs/registration.json`` states them."""

from __future__ import annotations

from dataclasses import dataclass

from medfuse.configs import read_config
from medfuse.options import check_choice


@dataclass(frozen=True)
class Level:
    """One level of the pyramid.

    Attributes:
        spacing_mm: the finest voxel spacing kept.
        samples: about how many points of the fixed body are compared.
        iterations: the most steps of the optimizer.
        first_step_mm: how far its first step moves the head.
        last_step_mm: it stops once a step moves the head by less.
    """

    spacing_mm: float
    samples: int
    iterations: int
    first_step_mm: float
    last_step_mm: float


@dataclass(frozen=True)
class Preset:
    """How to search for a rigid transform.

    Attributes:
        levels: the pyramid, coarsest first.
        kept: how many poses are refined on each level.
        rotation_degrees: spacing of the starting rotations, three to each axis.
        bins: histogram bins per scan of what poses are scored by.
        clip_percentiles: values outside these percentiles of a scan are clipped.
        slope_bins: for each level, histogram bins per scan of what is climbed.
        margin_mm: how far around the fixed body points are compared.
        rim_mm: for each level, how far around it points take part in the climb.
        body_level_mm: voxel spacing at which the body is sought.
        basin_mm: poses closer than this, on average over the head, are one optimum.
        settled_mm: on the finest level, a pose closer than this to the best one is not climbed from again.
        tie: the fraction of mutual information by which a pose that moves the head farther must be better.
        enough_overlap: every shift is searched if less than this fraction of the fixed head is covered.
        shift_step_mm: distance between the shifts that are searched then.
        turn_spacing_degrees: spacing of the rotations for which that is done.
        largest_turn_degrees: the largest of them.
        smallest_overlap: the fraction of the fixed head that must lie inside the moving scan.
    """

    levels: tuple[Level, ...]
    kept: tuple[int, ...]
    rotation_degrees: float
    bins: int
    slope_bins: tuple[int, ...]
    clip_percentiles: tuple[float, float]
    margin_mm: float
    rim_mm: tuple[float, ...]
    body_level_mm: float
    basin_mm: float
    settled_mm: float
    tie: float
    enough_overlap: float
    shift_step_mm: float
    turn_spacing_degrees: float
    largest_turn_degrees: float
    smallest_overlap: float


def load_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        OptionError: if there is none of that name.
    """
    known = read_config("registration")
    check_choice("registration preset", name, tuple(sorted(known)))
    numbers = dict(known[name])
    low, high = numbers.pop("clip_percentiles")
    return Preset(
        levels=tuple(Level(**level) for level in numbers.pop("levels")),
        kept=tuple(numbers.pop("kept")),
        slope_bins=tuple(numbers.pop("slope_bins")),
        rim_mm=tuple(numbers.pop("rim_mm")),
        clip_percentiles=(low, high),
        **numbers,
    )
