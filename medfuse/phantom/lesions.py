"""Lesions: what is wrong with the patient, on one side and in some of the volumes only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix, apply_affine
from medfuse.phantom.lattice import Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.options import PhantomOptions
from medfuse.phantom.shapes import Point, ball
from medfuse.phantom.tissues import Tissue


@dataclass(frozen=True)
class LesionTruth:
    """Where a lesion lies, and which volumes show it.

    Attributes:
        kind: as in :class:`~medfuse.phantom.options.LesionOptions`.
        side: the patient's side.
        label: its value in the label volumes.
        center_mm: its middle in the head's own space, RAS mm.
        radius_mm: its mean radius.
        visible_in: names of the volumes that show it.
    """

    kind: str
    side: str
    label: int
    center_mm: Point
    radius_mm: float
    visible_in: tuple[str, ...]


def paint_lesions(painting: Painting, options: PhantomOptions, atlas_to_head: Matrix) -> tuple[LesionTruth, ...]:
    """Paint the lesions over the finished head, each as a ball with an uneven surface."""
    truths = []
    for number, lesion in enumerate(options.lesions):
        x, y, z = lesion.center_mm
        center = (x if lesion.side == "right" else -x, y, z)
        reach = 1.5 * lesion.radius_mm
        low, high = ([c + sign * reach for c in center] for sign in (-1, 1))
        box = painting.lattice.box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        at = painting.lattice.coordinates(box)
        bumps = SmoothNoise(stream(options.seed, f"lesion {number}"), 1.6 * lesion.radius_mm, period_mm=96.0)(at)
        label = int(Tissue.LESION) + number
        uneven = np.float32(0.12 * lesion.radius_mm) * np.clip(bumps, -2, 2)
        painting.paint(label, box, ball(at, center, lesion.radius_mm) + uneven)
        middle = apply_affine(atlas_to_head, np.array(center))
        truths.append(
            LesionTruth(
                lesion.kind,
                lesion.side,
                label,
                (float(middle[0]), float(middle[1]), float(middle[2])),
                lesion.radius_mm,
                tuple(lesion.values),
            )
        )
    return tuple(truths)
