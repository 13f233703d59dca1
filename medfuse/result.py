"""What a run of the main job gives back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from monai.data import MetaTensor

from medfuse.registration.register import Registration
from medfuse.transforms.restored import RestorationChange
from medfuse.transforms.windows import IntensityWindow


@dataclass
class FusionResult:
    """The fused volume and all that it was made from; every volume lies on the fixed grid.

    Attributes:
        fused: (1, X, Y, Z) float32 in [0, 1].
        fixed: (1, X, Y, Z), the fixed volume in its own units.
        moving_registered: (1, X, Y, Z), the moving volume in its own units.
        inside: (1, X, Y, Z) bool, where the moving scan has seen; elsewhere ``fused`` is the fixed volume.
        fixed_normalized: (1, X, Y, Z) in [0, 1], as the network saw it.
        moving_normalized: (1, X, Y, Z) in [0, 1], as the network saw it.
        fixed_window: the values of the fixed volume that became 0 and 1.
        moving_window: the same for the moving volume.
        registration: the transform, and the verdict on it.
        spatial_dim: the axis that slices were stacked along.
        restorations: what restoring changed before the volumes were normalized, by role; ``fixed`` and
            ``moving_registered`` are as they were before.
        color: (3, X, Y, Z) uint8 for PET and SPECT, else None.
        record: what ``run.json`` holds.
    """

    fused: MetaTensor
    fixed: MetaTensor
    moving_registered: MetaTensor
    inside: MetaTensor
    fixed_normalized: MetaTensor
    moving_normalized: MetaTensor
    fixed_window: IntensityWindow
    moving_window: IntensityWindow
    registration: Registration
    spatial_dim: int
    restorations: Mapping[str, RestorationChange] = field(default_factory=dict)
    color: MetaTensor | None = None
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def modalities(self) -> tuple[str, str]:
        """Modality of the fixed and of the moving volume."""
        return str(self.fixed.meta["modality"]), str(self.moving_registered.meta["modality"])

    @property
    def in_words(self) -> str:
        """What was done before fusing, in words: the judgement of the registration, and what was restored."""
        return described(self.registration.in_words, self.restorations)


def described(registration: str, restored: Collection[str]) -> str:
    """Say what was done to volumes before fusing.

    Args:
        registration: the judgement of the registration, in words.
        restored: roles that were restored.
    """
    return "; ".join([registration, *(f"{role} restored" for role in restored)])
