"""The cerebellum with its folia, and the membranes and veins around the brain."""

from __future__ import annotations

import numpy as np

from medfuse.phantom.cortex import bowed_midline, tentorium_height
from medfuse.phantom.lattice import Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.shapes import Coordinates, Field, common, ellipsoid, rod, tube, united
from medfuse.phantom.tissues import Tissue

_FOLIA_CENTER_MM = (-44.0, -34.0)  # y and z of the line that the folia radiate from


def _hull(at: Coordinates) -> Field:
    x, y, z = at
    side = (np.abs(x), y, z)
    lobes = united(
        ellipsoid(side, (24.0, -64.0, -35.0), (30.0, 33.0, 26.0)),
        ellipsoid(at, (0.0, -62.0, -23.0), (20.0, 27.0, 28.0)),
        7.0,
    )
    below = np.asarray(z - tentorium_height(at) + 1.2, dtype=np.float32)
    notch = rod(at, (0.0, -98.0, -46.0), (0.0, -86.0, -54.0), 2.2)
    return common(common(lobes, below, 3.0), -notch, 3.0)


def _folds(at: Coordinates, count: int, bend: Field) -> Field:
    """Return the distance to sheets that fan out from the middle of the cerebellum."""
    curved = at[1] + np.float32(0.009) * at[0] ** 2  # folia arch backward toward the sides
    back, up = curved - np.float32(_FOLIA_CENTER_MM[0]), at[2] - np.float32(_FOLIA_CENTER_MM[1])
    radius = np.sqrt(back**2 + up**2 + (0.35 * at[0]) ** 2)
    turn = np.arctan2(up, -back) * np.float32(count / np.pi) + bend
    nearest = np.abs(turn - np.rint(turn))
    return np.asarray(nearest * radius * np.float32(np.pi / count), dtype=np.float32)


def paint_cerebellum(painting: Painting, seed: int) -> None:
    """Paint the cerebellum: leaves of gray on a branching core of white, and the fourth ventricle."""
    box = painting.lattice.box((-60.0, -104.0, -66.0), (60.0, -24.0, 4.0))
    at = painting.lattice.coordinates(box)
    hull = _hull(at)
    depth = -hull
    bend = 0.22 * SmoothNoise(stream(seed, "folia"), 36.0)(at)
    fissures = np.sqrt(_folds(at, 11, bend) ** 2 + np.maximum(depth - 12, 0) ** 2) - 0.4
    leaves = np.sqrt(_folds(at, 33, 2 * bend) ** 2 + np.maximum(depth - 3.5, 0) ** 2) - 0.1
    pia = united(united(depth, fissures, 2.0), leaves, 1.0)
    painting.paint(Tissue.CSF, box, hull - 1.5)
    painting.paint(Tissue.CEREBELLAR_GRAY, box, -pia)
    core = united(depth - 9.5, -ellipsoid((np.abs(at[0]), at[1], at[2]), (15.0, -56.0, -37.0), (12.0, 9.0, 6.0)), 4.0)
    branches = united(depth - 1.5, fissures - 2.6, 2.0)
    white = np.maximum(-branches, 0.6 - leaves)
    painting.paint(Tissue.CEREBELLAR_WHITE, box, np.minimum(white, -core - 4))
    peduncle = rod((np.abs(at[0]), at[1], at[2]), (11.0, -30.0, -32.0), (19.0, -52.0, -36.0), 6.0, 5.0)
    painting.paint(Tissue.CEREBELLAR_WHITE, box, peduncle)
    fourth = ellipsoid(at, (0.0, -45.0, -33.0), (7.5, 4.0, 9.5))
    painting.paint(Tissue.VENTRICLE, box, fourth)


def paint_membranes(painting: Painting, cavity: Field) -> None:
    """Paint falx, tentorium, and the large venous sinus along the midline."""
    box = painting.lattice.box((-8.0, -112.0, -30.0), (8.0, 76.0, 86.0))
    x, y, z = at = painting.lattice.coordinates(box)
    inside = cavity[box]
    free_edge = np.sqrt(((y + 8) / 50) ** 2 + ((z - 2) / 33) ** 2)
    falx = np.abs(bowed_midline(at)) - 0.55
    falx = np.maximum(np.maximum(falx, (1 - free_edge) * 40), np.maximum(inside, -14 - z + 0.1 * y))
    painting.paint(Tissue.DURA, box, falx)
    sinus = np.maximum(
        np.abs(inside + 2.4) - 2.4 + 0.75 * np.abs(x), np.maximum(-18 - z, -6 - z + 0.1 * np.maximum(y, 0))
    )
    painting.paint(Tissue.BLOOD, box, sinus)
    _paint_tentorium(painting, cavity)
    arteries = painting.lattice.box((-24.0, -30.0, -60.0), (24.0, 24.0, -4.0))
    at = painting.lattice.coordinates(arteries)
    side = (np.abs(at[0]), at[1], at[2])
    carotid = tube(
        side,
        ((13.0, -2.0, -40.0, 2.2), (12.0, 4.0, -26.0, 2.1), (9.0, 2.0, -18.0, 1.9), (22.0, 4.0, -15.0, 1.4)),
    )
    basilar = rod(at, (0.0, -12.5, -22.0), (0.0, -17.0, -45.0), 1.7)
    painting.paint(Tissue.BLOOD, arteries, np.minimum(carotid, basilar))


def _paint_tentorium(painting: Painting, cavity: Field) -> None:
    box = painting.lattice.box((-62.0, -108.0, -32.0), (62.0, -28.0, 6.0))
    at = painting.lattice.coordinates(box)
    sheet = np.abs(at[2] - tentorium_height(at)) * 0.95 - 0.55
    notch = np.sqrt(at[0] ** 2 + ((at[1] + 26) * 0.9) ** 2)
    sheet = np.maximum(np.maximum(sheet, cavity[box]), 24 - notch)
    painting.paint(Tissue.DURA, box, sheet)
    bend = tube(
        (np.abs(at[0]), at[1], at[2]),
        ((0.0, -101.0, -12.0, 3.4), (34.0, -90.0, -19.0, 3.4), (52.0, -60.0, -26.0, 3.6)),
    )
    painting.paint(Tissue.BLOOD, box, bend)
