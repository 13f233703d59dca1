"""The numbers behind a deformable registration, by name, as ``configs/deformable.json`` states them."""

from __future__ import annotations

from dataclasses import dataclass

from medfuse.configs import read_config
from medfuse.options import check_choice
from medfuse.registration.comparison import Preparation
from medfuse.registration.freeform import Stiffness


@dataclass(frozen=True)
class DeformableLevel:
    """One level of the search.

    Attributes:
        spacing_mm: the finest voxel spacing kept.
        control_mm: distance between control points: half of the level before, or the same.
        iterations: the most steps.
    """

    spacing_mm: float
    control_mm: float
    iterations: int


@dataclass(frozen=True)
class DeformablePreset:
    """How to search for an affine transform or a deformation.

    Attributes:
        levels: coarsest first.
        preparation: bins, clipping and margins.
        samples: at most this many points of the fixed scan are compared.
        first_step_mm: how far the first step of a level moves a point.
        stiffness: what deforming costs.
        stiffening: factor on the stiffness if the map folds or the affine transform is implausible.
        attempts: how often to try.
        smallest_jacobian: a map is refused that shrinks tissue to less than this fraction anywhere; above 0.
        largest_scale: an affine transform is refused that stretches by more than this factor, or shrinks as much.
        field_mm: distance between the nodes at which the displacement is kept.
    """

    levels: tuple[DeformableLevel, ...]
    preparation: Preparation
    samples: int
    first_step_mm: float
    stiffness: Stiffness
    stiffening: float
    attempts: int
    smallest_jacobian: float
    largest_scale: float
    field_mm: float

    @property
    def spacings_mm(self) -> list[float]:
        """Voxel spacing of each level."""
        return [level.spacing_mm for level in self.levels]


def load_deformable_preset(name: str) -> DeformablePreset:
    """Return a preset by its name.

    Raises:
        OptionError: if there is none of that name.
    """
    known = read_config("deformable")
    check_choice("deformable preset", name, tuple(sorted(known)))
    numbers = dict(known[name])
    return DeformablePreset(
        levels=tuple(DeformableLevel(**level) for level in numbers.pop("levels")),
        preparation=Preparation(**numbers.pop("preparation")),
        stiffness=Stiffness(**numbers.pop("stiffness")),
        **numbers,
    )
