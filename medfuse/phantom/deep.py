"""The middle of the brain: corpus callosum, deep gray nuclei, ventricles and brainstem."""

from __future__ import annotations

import numpy as np

from medfuse.phantom.lattice import Painting
from medfuse.phantom.shapes import Coordinates, Field, Point, ellipsoid, rod, tube, united, without
from medfuse.phantom.tissues import Tissue

# One ventricle is a little larger and its occipital horn longer: left and right must not look alike.
_VENTRICLE_MM = {"right": 0.0, "left": 0.9}
_HORN_BACK_MM = {"right": -70.0, "left": -80.0}
_SIGN = {"right": 1.0, "left": -1.0}


def _side(at: Coordinates, side: str) -> Coordinates:
    return at if side == "right" else (-at[0], at[1], at[2])


def _flattened(at: Coordinates, factor: float) -> Coordinates:
    """Squeeze coordinates so that a round tube comes out taller than wide."""
    return np.asarray(at[0] * np.float32(factor), dtype=np.float32), at[1], at[2]


def lateral_ventricle(at: Coordinates, grown_mm: float, horn_back_mm: float) -> Field:
    """Return the distance to the right lateral ventricle: body with frontal, occipital and temporal horns."""
    g = grown_mm
    body = tube(
        at,
        (
            (9.0, 34.0, 3.0, 2.4 + g),
            (8.5, 24.0, 9.0, 4.4 + g),
            (8.5, 4.0, 17.0, 4.2 + g),
            (11.0, -18.0, 20.5, 3.8 + g),
            (17.0, -34.0, 16.0, 4.8 + g),
            (25.0, -44.0, 8.0, 6.2 + g),
        ),
        4.0,
    )
    occipital = tube(at, ((25.0, -44.0, 8.0, 5.6 + g), (24.0, horn_back_mm, 2.0, 1.8 + g)), 3.0)
    temporal = tube(
        at,
        (
            (25.0, -44.0, 8.0, 5.4 + g),
            (32.0, -34.0, -6.0, 3.0),
            (34.0, -14.0, -17.0, 2.0),
            (29.0, -6.0, -19.0, 1.4),
        ),
        3.0,
    )
    septum = np.asarray(at[0] - 1.0, dtype=np.float32)
    return without(united(united(body, occipital, 4.0), temporal, 3.0), np.broadcast_to(septum, body.shape), 1.0)


def _callosum(at: Coordinates) -> Field:
    flat = _flattened(at, 0.42)
    return tube(
        flat,
        (
            (0.0, 20.0, -2.0, 1.6),
            (0.0, 31.0, 5.0, 3.6),
            (0.0, 24.0, 17.0, 3.2),
            (0.0, 4.0, 25.0, 2.6),
            (0.0, -20.0, 27.0, 2.7),
            (0.0, -36.0, 20.0, 3.4),
            (0.0, -40.0, 12.0, 4.6),
        ),
        4.0,
    )


def _caudate(at: Coordinates) -> Field:
    return tube(
        at,
        (
            (12.0, 19.0, 0.0, 4.5),
            (14.5, 13.0, 10.0, 5.2),
            (16.0, -2.0, 18.5, 3.4),
            (19.5, -18.0, 21.0, 2.4),
            (27.0, -36.0, 14.0, 1.6),
        ),
        4.0,
    )


def _thalamus(at: Coordinates) -> Field:
    front = ellipsoid(at, (9.5, -13.0, 8.0), (6.6, 11.0, 8.4))
    pulvinar = ellipsoid(at, (14.0, -25.0, 8.5), (8.0, 7.5, 8.0))
    return united(front, pulvinar, 6.0)


def _lentiform(at: Coordinates) -> tuple[Field, Field]:
    """Return the distances to putamen and pallidum, a lens between insula and internal capsule."""
    x, y, z = at
    turned = (np.asarray(x + 0.30 * (y - 2), dtype=np.float32), y, z)
    putamen = ellipsoid(turned, (27.5, 2.0, 1.5), (5.2, 17.0, 10.0))
    pallidum = ellipsoid(turned, (20.5, -2.0, -0.5), (4.2, 9.0, 6.0))
    return putamen, without(pallidum, putamen - 0.8, 1.0)


def _brainstem(at: Coordinates) -> Field:
    x, y, z = at
    side = (np.abs(x), y, z)
    peduncle = rod(side, (20.0, -8.0, 0.0), (7.5, -20.0, -18.0), 5.0, 6.0)
    midbrain = ellipsoid(at, (0.0, -27.0, -12.0), (14.0, 10.0, 12.0))
    pons = ellipsoid(at, (0.0, -26.0, -31.0), (16.5, 13.5, 14.0))
    medulla = tube(at, ((0.0, -32.0, -42.0, 9.0), (0.0, -42.0, -60.0, 6.6), (0.0, -54.0, -160.0, 4.8)), 4.0)
    return united(united(united(peduncle, midbrain, 5.0), pons, 4.0), medulla, 6.0)


def paint_deep(painting: Painting) -> None:
    """Paint callosum, nuclei, ventricles and brainstem over the cerebrum."""
    _paint_midline(painting)
    for side in _SIGN:
        _paint_side(painting, side)
    painting.paint_shape(Tissue.VENTRICLE, (-5.0, -34.0, -14.0), (5.0, 10.0, 14.0), _third_ventricle)
    painting.paint_shape(Tissue.CALCIFICATION, (-5.0, -38.0, 0.0), (5.0, -28.0, 10.0), _pineal)


def _third_ventricle(at: Coordinates) -> Field:
    body = ellipsoid(at, (0.0, -10.0, 0.0), (2.3, 17.0, 10.0))
    return without(body, ellipsoid(at, (0.0, -9.0, 5.0), (9.0, 2.6, 2.6)), 1.0)


def _pineal(at: Coordinates) -> Field:
    return ellipsoid(at, (0.3, -33.0, 5.0), (1.5, 2.4, 1.6))


def _paint_midline(painting: Painting) -> None:
    cistern = painting.lattice.box((-24.0, -56.0, -26.0), (24.0, 20.0, 6.0))
    at = painting.lattice.coordinates(cistern)
    painting.paint(Tissue.CSF, cistern, ellipsoid(at, (0.0, -2.0, -23.0), (13.0, 15.0, 7.0)))
    painting.paint(Tissue.CSF, cistern, ellipsoid(at, (0.0, -42.0, -3.0), (10.0, 7.0, 8.0)))
    painting.paint_shape(Tissue.WHITE_MATTER, (-24.0, -50.0, -8.0), (24.0, 38.0, 34.0), _callosum)
    low, high = (-30.0, -66.0, -138.0), (30.0, 2.0, 6.0)
    painting.paint_shape(Tissue.CSF, low, (30.0, 2.0, -16.0), lambda at: _brainstem(at) - 1.8)
    painting.paint_shape(Tissue.BRAINSTEM, low, high, _brainstem)
    painting.paint_shape(Tissue.CSF, (-3.0, -40.0, -24.0), (3.0, -28.0, 0.0), _aqueduct)


def _aqueduct(at: Coordinates) -> Field:
    return rod(at, (0.0, -31.0, -4.0), (0.0, -35.0, -22.0), 1.0)


def _paint_side(painting: Painting, side: str) -> None:
    box = _box(painting, side, (0.0, -90.0, -26.0), (46.0, 44.0, 34.0))
    at = _side(painting.lattice.coordinates(box), side)
    ventricle = lateral_ventricle(at, _VENTRICLE_MM[side], _HORN_BACK_MM[side])
    putamen, pallidum = _lentiform(at)
    hippocampus = tube(at, ((27.0, -38.0, 0.0, 2.6), (29.0, -24.0, -14.0, 3.8), (25.0, -8.0, -22.0, 6.0)), 3.0)
    painting.paint(Tissue.WHITE_MATTER, box, ventricle - 3.0)
    painting.paint(Tissue.DEEP_GRAY, box, hippocampus)
    painting.paint(Tissue.DEEP_GRAY, box, _caudate(at))
    painting.paint(Tissue.DEEP_GRAY, box, _thalamus(at))
    painting.paint(Tissue.DEEP_GRAY, box, putamen)
    painting.paint(Tissue.BRAINSTEM, box, pallidum)
    painting.paint(Tissue.VENTRICLE, box, ventricle)
    plexus = ellipsoid(at, (25.0, -47.0, 9.0), (1.8, 4.0, 1.8))
    painting.paint(Tissue.CALCIFICATION, box, plexus)


def _box(painting: Painting, side: str, low: Point, high: Point) -> tuple[slice, slice, slice]:
    ends = sorted((_SIGN[side] * low[0], _SIGN[side] * high[0]))
    return painting.lattice.box((ends[0], low[1], low[2]), (ends[1], high[1], high[2]))
