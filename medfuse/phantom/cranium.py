"""The head's outline, its scalp, and the skull with outer table, diploe and inner table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.phantom.lattice import Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.shapes import Coordinates, Field, common, ellipsoid, rod, rounded_box, united, without
from medfuse.phantom.tissues import Tissue

_SKIN_MM = 2.0
_CSF_MM = 2.1


def tapered(at: Coordinates) -> Coordinates:
    """Return coordinates in which the egg-shaped skull, wider behind than in front, is an ellipsoid."""
    x, y, z = at
    width = 1 - 0.075 * np.tanh((y + 20) / 50) - 0.0005 * np.maximum(z - 20, 0)
    return np.asarray(x / width, dtype=np.float32), y, z


def cerebral_vault(at: Coordinates, margin_mm: float) -> Field:
    """Return the distance to the rounded space that holds both hemispheres above the skull base."""
    _, y, z = at
    grown = (68.5 + margin_mm, 87.0 + margin_mm, 69.0 + margin_mm)
    vault = rounded_box(tapered(at), (0.0, -17.0, 9.0), grown)
    floor = (-22.0 - margin_mm + 0.2 * (y - 25)) - z
    return common(vault, np.asarray(floor, dtype=np.float32), 14.0)


def temporal_lobes(at: Coordinates, margin_mm: float) -> Field:
    """Return the distance to the two temporal lobes."""
    x, y, z = at
    radii = (22.0 + margin_mm, 36.0 + margin_mm, 20.0 + margin_mm)
    return ellipsoid((np.abs(x), y, z), (41.0, -9.0, -20.0), radii)


def posterior_fossa(at: Coordinates) -> Field:
    """Return the distance to the space of the cerebellum and brainstem, with the canal below it."""
    fossa = ellipsoid(at, (0.0, -62.0, -34.0), (53.0, 38.0, 31.0))
    front = ellipsoid(at, (0.0, -32.0, -36.0), (20.0, 17.0, 30.0))
    canal = rod(at, (0.0, -42.0, -55.0), (0.0, -54.0, -160.0), 9.0, 8.0)
    return united(united(fossa, front, 10.0), canal, 8.0)


def petrous_ridges(at: Coordinates) -> Field:
    """Return the distance to the two wedges of dense bone that carry the inner ears."""
    x, y, z = at
    return rod((np.abs(x), y, z), (60.0, -36.0, -38.0), (15.0, -12.0, -38.0), 12.0, 4.0)


def cavity(at: Coordinates) -> Field:
    """Return the distance to everything inside the skull: brain, vessels and fluid."""
    inside = united(cerebral_vault(at, _CSF_MM), temporal_lobes(at, _CSF_MM), 8.0)
    inside = united(inside, posterior_fossa(at), 6.0)
    return without(inside, petrous_ridges(at), 4.0)


@dataclass(frozen=True)
class Cranium:
    """Distances that the other parts of the head build on, over the whole lattice.

    Attributes:
        cavity: to the space inside the skull.
        outline: to the skin.
    """

    cavity: Field
    outline: Field


def _face(at: Coordinates) -> Field:
    x, y, z = at
    side = (np.abs(x), y, z)
    shape = ellipsoid(at, (0.0, 40.0, -56.0), (60.0, 46.0, 56.0))
    shape = united(shape, ellipsoid(at, (0.0, 48.0, -108.0), (42.0, 38.0, 26.0)), 26.0)
    shape = united(shape, ellipsoid(side, (44.0, 56.0, -56.0), (22.0, 24.0, 26.0)), 14.0)
    shape = united(shape, ellipsoid(side, (22.0, 73.0, -16.0), (22.0, 8.5, 9.0)), 16.0)
    shape = united(shape, ellipsoid(side, (44.0, 36.0, -24.0), (24.0, 32.0, 30.0)), 20.0)
    sockets = ellipsoid(side, (32.0, 92.0, -37.0), (14.0, 16.0, 10.0))
    shape = without(shape, sockets, 14.0)
    nose = rod(at, (0.0, 82.0, -30.0), (0.0, 101.0, -60.0), 6.0, 9.0)
    nose = united(nose, ellipsoid(side, (9.0, 94.0, -63.0), (8.0, 9.0, 7.0)), 5.0)
    shape = united(shape, nose, 9.0)
    lips = ellipsoid(at, (0.0, 87.0, -88.0), (24.0, 9.0, 10.0))
    return united(shape, lips, 9.0)


def _neck(at: Coordinates) -> Field:
    axis = np.maximum(-at[2] - 60, 0)
    forward = np.asarray(at[1] + 0.10 * axis, dtype=np.float32)
    flat = np.sqrt((at[0] / 60) ** 2 + ((forward + 32) / 60) ** 2)
    top = np.asarray(at[2] + 55, dtype=np.float32)
    return common(np.asarray((flat - 1) * 60, dtype=np.float32), top, 20.0)


def _ears(at: Coordinates) -> Field:
    x, y, z = at
    tilted = (np.asarray(np.abs(x) + 0.35 * (y + 24), dtype=np.float32), y, z)
    ear = ellipsoid(tilted, (84.0, -28.0, -34.0), (4.5, 17.0, 30.0))
    bowl = ellipsoid(tilted, (91.0, -24.0, -34.0), (7.5, 10.0, 18.0))
    return without(ear, bowl, 3.0)


def measure_cranium(painting: Painting) -> Cranium:
    """Return the distances to the cavity and to the skin over the whole lattice."""
    box = painting.lattice.everywhere()
    inside = painting.lattice.interpolated(cavity, box, 2.0)
    return Cranium(inside, painting.lattice.interpolated(_outline, box, 2.0))


def _outline(at: Coordinates) -> Field:
    outline = united(cerebral_vault(at, 15.5), _lower_head(at), 20.0)
    outline = united(outline, _face(at), 22.0)
    outline = united(outline, _neck(at), 24.0)
    return united(outline, _ears(at), 4.0)


def _lower_head(at: Coordinates) -> Field:
    """Return the distance to the skin behind and beside the skull base."""
    back = ellipsoid(at, (0.0, -58.0, -32.0), (72.0, 56.0, 46.0))
    x, y, z = at
    temples = ellipsoid((np.abs(x), y, z), (42.0, -6.0, -24.0), (39.0, 56.0, 44.0))
    return united(back, temples, 20.0)


def paint_scalp(painting: Painting, cranium: Cranium, seed: int) -> None:
    """Paint skin, fat below it, and the muscles that fill the rest of the head and neck."""
    box = painting.lattice.everywhere()
    at = painting.lattice.coordinates(box)
    painting.paint(Tissue.SKIN, box, cranium.outline)
    painting.paint(Tissue.FAT, box, cranium.outline + _SKIN_MM)
    low_down = np.clip((-20 - at[2]) / 60, 0, 1)
    patchy = painting.lattice.interpolated(SmoothNoise(stream(seed, "fat"), 34.0), box, 4.0)
    depth = _SKIN_MM + 3.2 + 1.6 * low_down + (0.5 + 0.9 * low_down) * patchy
    muscle = cranium.outline + np.maximum(depth, 2.8)
    planes = SmoothNoise(stream(seed, "muscle"), 27.0)
    sheets = painting.lattice.interpolated(
        lambda at: planes((np.abs(at[0]), at[1], at[2] * np.float32(0.4))), box, 2.0
    )  # muscles run up and down, and alike on both sides
    between = 0.55 + 0.65 * patchy - np.abs(sheets) * 6.0  # with thin fat between some of them
    painting.paint(Tissue.MUSCLE, box, np.maximum(muscle, between))


def _thickness(at: Coordinates, uneven: Field) -> Field:
    """Return the local thickness of the skull in mm."""
    x, y, z = at
    back = 2.2 * np.clip((-y - 70) / 40, 0, 1)
    front = 0.8 * np.clip((y - 30) / 30, 0, 1)
    temple = 2.6 * np.exp(-((np.abs(x) - 66) ** 2 / 300 + (y + 2) ** 2 / 1100 + (z + 8) ** 2 / 700))
    return np.asarray(np.clip(7.0 + back + front - temple + 0.8 * uneven, 3.2, 11.0), dtype=np.float32)


def paint_skull(painting: Painting, cranium: Cranium, seed: int) -> None:
    """Paint the bone around the cavity as three plates, then the fluid that fills it."""
    box = painting.lattice.everywhere()
    at = painting.lattice.coordinates(box)
    uneven = SmoothNoise(stream(seed, "skull"), 70.0)
    total = painting.lattice.interpolated(lambda at: _thickness(at, uneven(at)), box, 4.0)
    outer = 1.5 + 0.05 * total
    spongy = SmoothNoise(stream(seed, "diploe"), 7.0, period_mm=98.0, bandwidth=0.5)(at)
    below_neck = np.asarray(-72 - at[2], dtype=np.float32)  # the canal below the skull has no such wall
    shell = np.maximum(cranium.cavity - total, below_neck)
    painting.paint(Tissue.OUTER_TABLE, box, shell)
    painting.paint(Tissue.DIPLOE, box, shell + outer + 0.22 * spongy)
    painting.paint(Tissue.INNER_TABLE, box, np.maximum(cranium.cavity - 1.7, below_neck))
    painting.paint(Tissue.DURA, box, cranium.cavity - 0.2)
    painting.paint(Tissue.CSF, box, cranium.cavity + 0.6)
