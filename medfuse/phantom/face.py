"""Below and before the brain: orbits with eyes, nose and its sinuses, jaws, ears' bone and the spine."""

from __future__ import annotations

import numpy as np

from medfuse.phantom.lattice import Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.shapes import (
    Coordinates,
    Field,
    Point,
    ball,
    common,
    ellipsoid,
    rod,
    tube,
    united,
    without,
)
from medfuse.phantom.tissues import Tissue


def _side(at: Coordinates) -> Coordinates:
    return np.abs(at[0]), at[1], at[2]


def paint_face(painting: Painting, outline: Field, cavity: Field, seed: int) -> None:
    """Paint the facial skeleton, then the air spaces and the orbits set in it."""
    _paint_facial_bones(painting, outline)
    _paint_skull_base(painting, cavity, seed)
    _paint_nose(painting, outline, seed)
    _paint_mouth(painting)
    _paint_orbits(painting, outline)


def _orbit(at: Coordinates) -> Field:
    x, y, z = _side(at)
    cone = rod((x, y, np.asarray(z * 1.06, dtype=np.float32)), (13.0, 22.0, -33.0), (33.0, 64.0, -38.0), 3.0, 20.0)
    return common(cone, np.broadcast_to(np.asarray(y - 78, dtype=np.float32), cone.shape), 6.0)


def _paint_facial_bones(painting: Painting, outline: Field) -> None:
    box = painting.lattice.box((-72.0, -24.0, -125.0), (72.0, 100.0, -4.0))
    at = painting.lattice.coordinates(box)
    side = _side(at)
    bone = ellipsoid(side, (26.0, 50.0, -62.0), (21.0, 23.0, 24.0))
    bone = united(bone, ellipsoid(at, (0.0, 46.0, -41.0), (18.0, 32.0, 16.0)), 8.0)
    bone = united(bone, _orbit(at) - 2.2, 4.0)
    bone = united(bone, ellipsoid(at, (0.0, 58.0, -79.0), (27.0, 24.0, 10.0)), 6.0)
    bone = united(bone, ellipsoid(at, (0.0, 8.0, -36.0), (20.0, 20.0, 13.0)), 8.0)
    brow = ellipsoid(side, (24.0, 70.0, -16.0), (24.0, 8.0, 7.0))
    bone = common(united(bone, brow, 8.0), outline[box] + 5.5, 4.0)
    arch = tube(
        side,
        (
            (66.0, -12.0, -46.0, 3.0),
            (68.0, 14.0, -49.0, 2.8),
            (60.0, 40.0, -54.0, 3.4),
            (46.0, 54.0, -55.0, 6.0),
        ),
    )
    pterygoid = rod(side, (13.0, 18.0, -46.0), (14.0, 24.0, -76.0), 3.2)
    ramus = tube(
        side,
        (
            (52.0, 4.0, -54.0, 4.4),
            (50.0, 10.0, -84.0, 5.5),
            (45.0, 14.0, -104.0, 6.0),
            (24.0, 62.0, -112.0, 7.0),
            (0.0, 74.0, -112.0, 7.5),
        ),
    )
    everything = np.minimum(np.minimum(bone, arch), np.minimum(pterygoid, ramus))
    painting.paint(Tissue.OUTER_TABLE, box, everything)
    painting.paint(Tissue.DIPLOE, box, np.minimum(np.minimum(bone + 1.6, ramus + 2.4), arch + 1.8))


def _paint_skull_base(painting: Painting, cavity: Field, seed: int) -> None:
    box = painting.lattice.box((-76.0, -66.0, -80.0), (76.0, 14.0, -14.0))
    at = painting.lattice.coordinates(box)
    side = _side(at)
    outside = -cavity[box]
    petrous = np.maximum(rod(side, (60.0, -36.0, -38.0), (15.0, -12.0, -38.0), 13.0, 5.5), outside - 0.8)
    mastoid = np.maximum(ellipsoid(side, (58.0, -36.0, -50.0), (13.0, 15.0, 20.0)), outside)
    clivus = np.maximum(rod(at, (0.0, -4.0, -36.0), (0.0, -22.0, -60.0), 9.0, 5.0), outside)
    painting.paint(Tissue.OUTER_TABLE, box, np.minimum(mastoid, clivus))
    painting.paint(Tissue.DIPLOE, box, clivus + 2.0)
    painting.paint(Tissue.DENSE_BONE, box, petrous)
    cells = SmoothNoise(stream(seed, "air cells"), 7.0, period_mm=98.0, bandwidth=0.3)(at)
    painting.paint(Tissue.SINUS_AIR, box, np.maximum(mastoid + 3.0, 1.6 * (0.15 - cells)))
    drum = ellipsoid(side, (46.0, -24.0, -37.0), (2.6, 5.0, 6.0))
    painting.paint(Tissue.SINUS_AIR, box, drum)
    painting.paint_shape(Tissue.SINUS_AIR, (-96.0, -34.0, -50.0), (96.0, -14.0, -26.0), _ear_canal)
    inner = np.minimum(
        ball(side, (37.0, -24.0, -38.0), 2.4), rod(side, (33.0, -24.0, -37.0), (20.0, -26.0, -36.0), 2.2)
    )
    painting.paint(Tissue.CSF, box, inner)


def _ear_canal(at: Coordinates) -> Field:
    return rod(_side(at), (90.0, -24.0, -36.0), (46.0, -25.0, -37.0), 2.8, 2.6)


def _paint_nose(painting: Painting, outline: Field, seed: int) -> None:
    box = painting.lattice.box((-46.0, -4.0, -84.0), (46.0, 104.0, 16.0))
    at = painting.lattice.coordinates(box)
    spaces = _nasal_cavity(at)
    spaces = np.minimum(spaces, _sinuses(at, seed))
    spaces = np.maximum(spaces, outline[box] + 2.5)
    painting.paint(Tissue.MUCOSA, box, spaces - 0.4)
    painting.paint(Tissue.SINUS_AIR, box, spaces + 0.9)
    throat = tube(at, ((0.0, 40.0, -68.0, 7.0), (0.0, 14.0, -66.0, 8.0), (0.0, 6.0, -84.0, 7.0)))
    painting.paint(Tissue.SINUS_AIR, box, throat)
    painting.paint_shape(Tissue.SINUS_AIR, (-12.0, -14.0, -138.0), (12.0, 22.0, -78.0), _airway)
    nostril = rod(_side(at), (7.0, 96.0, -72.0), (6.0, 82.0, -62.0), 3.6, 3.2)
    painting.paint(Tissue.SINUS_AIR, box, nostril)
    septum = np.abs(at[0] - 2.2 * np.sin((at[1] - 40) / 16)) - 1.2
    septum = np.maximum(np.maximum(septum, at[2] + 40), np.maximum(-76 - at[2], np.maximum(36 - at[1], at[1] - 86)))
    painting.paint(Tissue.MUCOSA, box, septum)


def _airway(at: Coordinates) -> Field:
    flat = (np.asarray(at[0] * 0.8, dtype=np.float32), at[1], at[2])
    return tube(flat, ((0.0, 6.0, -80.0, 6.5), (0.0, 2.0, -108.0, 5.5), (0.0, 4.0, -150.0, 7.5)))


def _nasal_cavity(at: Coordinates) -> Field:
    side = _side(at)
    cavity = ellipsoid(side, (6.0, 60.0, -60.0), (9.0, 32.0, 17.0))
    lower = ellipsoid(side, (9.0, 58.0, -68.0), (4.2, 24.0, 4.6))
    middle = ellipsoid(side, (9.5, 54.0, -55.0), (3.6, 18.0, 4.4))
    return without(without(cavity, lower, 1.5), middle, 1.5)


def _sinuses(at: Coordinates, seed: int) -> Field:
    side = _side(at)
    right = ellipsoid(at, (29.0, 50.0, -65.0), (15.0, 17.0, 16.0))
    left = ellipsoid(at, (-28.0, 51.0, -64.0), (12.5, 15.0, 13.5))
    sphenoid = ellipsoid(side, (8.5, 10.0, -37.0), (9.5, 13.0, 9.5))
    frontal = np.minimum(
        ellipsoid(at, (13.0, 75.0, -8.0), (13.0, 4.6, 12.0)),
        ellipsoid(at, (-10.0, 75.0, -11.0), (9.0, 4.2, 8.0)),
    )
    block = ellipsoid(side, (6.5, 47.0, -38.0), (7.5, 27.0, 12.0))
    walls = SmoothNoise(stream(seed, "ethmoid"), 13.0, period_mm=104.0, bandwidth=0.25)(at)
    ethmoid = np.maximum(block, 1.3 - 5.0 * np.abs(walls))
    divided = np.maximum(np.minimum(sphenoid, frontal), 0.9 - np.abs(at[0] - 1.5))
    return np.asarray(np.minimum(np.minimum(right, left), np.minimum(divided, ethmoid)), dtype=np.float32)


def _arch(at: Coordinates, height_mm: float, half_height_mm: float) -> Field:
    """Return the distance to a row of teeth, separated by gaps."""
    x, y, z = at
    curve = np.sqrt((x / 25) ** 2 + ((y - 44) / 36) ** 2)
    row = np.maximum(np.abs(curve - 1) * 28 - 3.6, np.abs(z - height_mm) - half_height_mm)
    angle = np.arctan2(y - 44, x * 1.3)
    gaps = 0.55 - np.abs(np.sin(angle * 7.5)) * 3.5
    return np.asarray(np.maximum(np.maximum(row, gaps), 42 - y), dtype=np.float32)


def _paint_mouth(painting: Painting) -> None:
    low, high = (-32.0, 20.0, -116.0), (32.0, 90.0, -78.0)
    painting.paint_shape(Tissue.SINUS_AIR, low, high, lambda at: ellipsoid(at, (0.0, 46.0, -87.0), (17.0, 26.0, 1.8)))
    painting.paint_shape(Tissue.DENSE_BONE, low, high, lambda at: _arch(at, -88.5, 6.0))
    painting.paint_shape(Tissue.DENSE_BONE, low, high, lambda at: _arch(at, -102.0, 5.5))


def _paint_orbits(painting: Painting, outline: Field) -> None:
    box = painting.lattice.box((-58.0, 12.0, -66.0), (58.0, 90.0, -10.0))
    at = painting.lattice.coordinates(box)
    side = _side(at)
    painting.paint(Tissue.FAT, box, np.maximum(_orbit(at), outline[box] + 2.0))
    globe: Point = (32.0, 65.0, -37.0)
    nerve = tube(side, ((32.0, 53.0, -37.0, 2.0), (24.0, 40.0, -35.0, 1.9), (13.0, 22.0, -31.0, 1.9)))
    painting.paint(Tissue.CSF, box, nerve - 0.7)
    painting.paint(Tissue.NERVE, box, nerve)
    painting.paint(Tissue.MUSCLE, box, _eye_muscles(side))
    painting.paint(Tissue.MUSCLE, box, ellipsoid(side, (42.0, 64.0, -28.0), (3.5, 6.0, 5.0)))
    painting.paint(Tissue.DURA, box, ball(side, globe, 12.2))
    painting.paint(Tissue.EYE, box, ball(side, globe, 11.2))
    painting.paint(Tissue.LENS, box, ellipsoid(side, (32.2, 72.6, -37.0), (4.6, 2.2, 4.6)))
    lid = np.maximum(outline[box], -(outline[box] + 3.2))
    painting.paint(Tissue.SKIN, box, np.maximum(lid, ball(side, (32.0, 78.0, -37.0), 15.0)))


def _eye_muscles(side: Coordinates) -> Field:
    apex = (15.0, 24.0, -33.0)
    ends: tuple[tuple[Point, Point], ...] = (
        ((25.0, 48.0, -36.0), (20.5, 66.0, -37.0)),
        ((38.0, 46.0, -36.0), (43.5, 64.0, -37.0)),
        ((29.0, 46.0, -25.5), (31.5, 66.0, -25.5)),
        ((29.0, 46.0, -46.0), (31.5, 66.0, -48.5)),
    )
    parts = [tube(side, ((*apex, 1.4), (*middle, 2.5), (*end, 1.1))) for middle, end in ends]
    return np.asarray(np.minimum.reduce(parts), dtype=np.float32)


def paint_spine(painting: Painting) -> None:
    """Paint the upper neck bones around the spinal canal."""
    box = painting.lattice.box((-34.0, -92.0, -138.0), (34.0, -6.0, -62.0))
    at = painting.lattice.coordinates(box)
    x, y, z = at
    forward = np.asarray(y - 0.115 * (z + 72), dtype=np.float32)
    bent = (x, forward, z)
    phase = np.mod(z + 78, 17.0) - 8.5
    disc = 7.2 - np.abs(phase)
    column = np.sqrt((x / 10.5) ** 2 + ((forward + 28) / 8) ** 2) * 8 - 8
    pillars = np.sqrt((np.abs(x) - 18) ** 2 + (forward + 40) ** 2) - 5.8
    ring = np.abs(np.sqrt((x / 1.25) ** 2 + (forward + 45) ** 2) - 12.5) - 1.8
    spine = np.maximum(np.abs(x) - 3.2, np.maximum(-76 - forward, forward + 56))
    arch = np.maximum(np.minimum(ring, spine), np.abs(phase + 1) - 4.5)
    bone = np.minimum(np.minimum(np.maximum(column, -disc), np.maximum(pillars, -(disc + 0.3))), arch)
    bone = np.maximum(bone, z + 71)
    canal = rod(at, (0.0, -42.0, -55.0), (0.0, -54.0, -160.0), 9.0, 8.0)
    bone = np.asarray(np.maximum(bone, -canal), dtype=np.float32)
    atlas = np.maximum(ellipsoid(bent, (0.0, -42.0, -71.0), (32.0, 22.0, 7.0)), -canal)
    painting.paint(Tissue.OUTER_TABLE, box, np.minimum(bone, atlas))
    painting.paint(Tissue.DIPLOE, box, np.minimum(bone, atlas) + 1.6)
