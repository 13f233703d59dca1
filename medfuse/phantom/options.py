"""What a user can choose about the phantom patient."""

from __future__ import annotations

from dataclasses import dataclass, field

from medfuse.errors import OptionError
from medfuse.options import check_choice
from medfuse.phantom.shapes import Point

VOLUMES = ("MR_T1", "MR_T2", "CT", "PT", "NM")
PROFILES = ("small", "standard")
SIDES = ("right", "left")

# What each kind of lesion looks like, by volume; in a volume not named it cannot be seen at all.
LESION_VALUES: dict[str, dict[str, float]] = {
    "metabolic": {"PT": 17.0, "NM": 230.0},
    "hemorrhage": {"CT": 78.0},
    "calcification": {"CT": 420.0},
    "gliosis": {"MR_T1": 520.0, "MR_T2": 960.0},
}


@dataclass(frozen=True)
class LesionOptions:
    """One lesion, on one side of the brain.

    Attributes:
        kind: ``"metabolic"`` shows in PET and SPECT only, ``"hemorrhage"`` and ``"calcification"`` in CT
            only, ``"gliosis"`` in MR only.
        side: the patient's ``"right"`` or ``"left"``.
        radius_mm: mean radius, 2 to 25 mm.
        center_mm: position in the atlas for the right side (the left is its mirror image), RAS mm, x > 0.
    """

    kind: str = "metabolic"
    side: str = "right"
    radius_mm: float = 9.0
    center_mm: Point = (33.0, -40.0, 34.0)

    def __post_init__(self) -> None:
        check_choice("lesion kind", self.kind, tuple(LESION_VALUES))
        check_choice("lesion side", self.side, SIDES)
        if not 2 <= self.radius_mm <= 25:
            msg = f"lesion radius_mm is {self.radius_mm:g}; give 2 to 25"
            raise OptionError(msg)
        if not self.radius_mm < self.center_mm[0] < 70:
            msg = f"lesion center_mm has x = {self.center_mm[0]:g}; give more than its radius and less than 70"
            raise OptionError(msg)

    @property
    def values(self) -> dict[str, float]:
        """Mean value by the name of each volume that the lesion shows in."""
        return LESION_VALUES[self.kind]


@dataclass(frozen=True)
class PhantomOptions:
    """Everything that the phantom depends on: equal options give equal bytes.

    Attributes:
        seed: of the anatomy, the poses and the noise; at least 0.
        profile: ``"standard"`` for pictures, ``"small"`` for tests.
        volumes: which of ``MR_T1``, ``MR_T2``, ``CT``, ``PT`` and ``NM`` to make.
        rotation_deg: largest angle by which a scanner turns the head, 0 to 45; at least half of it is used.
        translation_mm: largest distance by which a scanner shifts the head, 0 to 60; at least half is used.
        lesions: what is wrong with the patient.
        noise: factor on every noise; 0 leaves the volumes clean.
        couch: put a head rest under the head in CT.
        scale: factor on every voxel size, 0.5 to 3.
    """

    seed: int = 0
    profile: str = "standard"
    volumes: tuple[str, ...] = VOLUMES
    rotation_deg: float = 8.0
    translation_mm: float = 10.0
    lesions: tuple[LesionOptions, ...] = field(default=(LesionOptions(),))
    noise: float = 1.0
    couch: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_choice("profile", self.profile, PROFILES)
        for volume in self.volumes:
            check_choice("volume", volume, VOLUMES)
        if not self.volumes or len(set(self.volumes)) != len(self.volumes):
            msg = f"volumes is {self.volumes!r}; give at least one, and none twice"
            raise OptionError(msg)
        if self.seed < 0:
            msg = f"seed is {self.seed}; give a whole number of at least 0"
            raise OptionError(msg)
        _check_range("rotation_deg", self.rotation_deg, 0, 45)
        _check_range("translation_mm", self.translation_mm, 0, 60)
        _check_range("noise", self.noise, 0, 20)
        _check_range("scale", self.scale, 0.5, 3)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        msg = f"{name} is {value:g}; give {low:g} to {high:g}"
        raise OptionError(msg)
