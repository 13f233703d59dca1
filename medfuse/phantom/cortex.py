"""The cerebrum: two hemispheres whose gray ribbon is folded into gyri and sulci.

A sulcus is a thin sheet where a smooth random field on the surface of the hemisphere crosses zero, carried
inward along the radius; what lies within the ribbon's thickness of a sulcus or of the outer surface is gray.
"""

from __future__ import annotations

import numpy as np

from medfuse.phantom.cranium import cerebral_vault, temporal_lobes
from medfuse.phantom.lattice import Box, Painting
from medfuse.phantom.noise import SmoothNoise, stream
from medfuse.phantom.shapes import Coordinates, Field, Point, common, united
from medfuse.phantom.tissues import Tissue

_LOW: Point = (-76.0, -110.0, -46.0)
_HIGH: Point = (76.0, 76.0, 84.0)
_RIBBON_MM = 2.8
_BEND_MM = 2.6
_BEND_WAVELENGTH_MM = 36.0
_HEMISPHERE_CENTER: Point = (27.0, -15.0, 6.0)
_HEMISPHERE_RADII: Point = (40.0, 86.0, 62.0)


def tentorium_height(at: Coordinates) -> Field:
    """Return the height, in mm, of the membrane between cerebrum and cerebellum."""
    x, y, _ = at
    flank = 0.0138 + 0.038 * ((y + 68) / 28) ** 2  # steep at the notch in front and at the pole behind
    height = 4.0 + 0.20 * (y + 40) - flank * x * x
    return np.asarray(np.maximum(height, -27.0), dtype=np.float32)


def cerebrum(at: Coordinates) -> Field:
    """Return the distance to the smooth hull of the cerebrum."""
    _, y, z = at
    above = tentorium_height(at) + 0.8 - z
    behind = np.clip((-24 - y) / 14, 0, 1)
    cut = np.asarray(above * behind - 30 * (1 - behind), dtype=np.float32)
    hull = united(cerebral_vault(at, 0.0), temporal_lobes(at, 0.0), 6.0)
    return common(hull, np.broadcast_to(cut, hull.shape), 6.0)


def _on_surface(at: Coordinates) -> Coordinates:
    """Carry points most of the way out to the hemisphere's surface, so that sheets run radially."""
    x, y, z = at
    right = x - np.copysign(np.float32(_HEMISPHERE_CENTER[0]), x)
    forward, up = y - np.float32(_HEMISPHERE_CENTER[1]), z - np.float32(_HEMISPHERE_CENTER[2])
    a, b, c = (np.float32(radius) for radius in _HEMISPHERE_RADII)
    gauge = np.sqrt((right / a) ** 2 + (forward / b) ** 2 + (up / c) ** 2)
    stretch = np.maximum(gauge, np.float32(0.25)) ** np.float32(-0.5)
    return (
        np.asarray(x - right + right * stretch, dtype=np.float32),
        np.asarray(y - forward + forward * stretch, dtype=np.float32),
        np.asarray(z - up + up * stretch, dtype=np.float32),
    )


def _sheets(values: Field, step_mm: float, wavelength_mm: float) -> Field:
    """Return the distance to the zero crossings of a field, from its slope."""
    slope = np.zeros_like(values)
    for axis in range(3):
        slope += np.gradient(values, np.float32(step_mm), axis=axis) ** 2
    typical = 2 * np.pi / wavelength_mm
    return np.asarray(np.abs(values) / np.sqrt(slope + (0.28 * typical) ** 2), dtype=np.float32)


def _limited(sheet: Field, depth: Field, reach: Field) -> Field:
    """Return the distance to a sheet that ends at a depth below the surface."""
    return np.asarray(np.sqrt(sheet**2 + np.maximum(depth - reach, 0) ** 2), dtype=np.float32)


def _sulci(at: Coordinates, depth: Field, step_mm: float, seed: int) -> Field:
    """Return the distance to the walls of the sulci, large ones deep and small ones shallow.

    Args:
        at: where, bent a little so that the sheets are not straight.
        depth: distance below the nearest outer surface, lateral or medial.
        step_mm: distance between the points.
        seed: of the pattern.
    """
    surface = _on_surface(at)
    reach = SmoothNoise(stream(seed, "sulcal depth"), 48.0)(surface)
    open_mm = 0.42 + 0.6 * np.exp(-np.maximum(depth, 0) / 5)
    field = SmoothNoise(stream(seed, "sulci"), 24.0, period_mm=216.0, bandwidth=0.2)(surface)
    deep = _limited(_sheets(field, step_mm, 24.0), depth, np.clip(18 + 6 * reach, 7, 28)) - open_mm
    field = SmoothNoise(stream(seed, "small sulci"), 19.0, period_mm=152.0, bandwidth=0.2)(surface)
    shallow = _limited(_sheets(field, step_mm, 19.0), depth, np.clip(4.5 - 3 * reach, -4, 9)) - 0.7 * open_mm
    return np.asarray(np.minimum(deep, shallow), dtype=np.float32)


def bowed_midline(at: Coordinates) -> Field:
    """Return how far to the right of the falx points lie; the falx is never quite straight."""
    return np.asarray(at[0] - 1.2 * np.sin((at[1] + 20) / 30), dtype=np.float32)


def _midline(at: Coordinates, margin: float) -> Field:
    """Return the distance to the fissure between the hemispheres, which stops at the corpus callosum.

    Args:
        at: where.
        margin: how far from the callosum it stops, as a share of that body's size.
    """
    _, y, z = at
    core = np.sqrt(((y + 8) / 42) ** 2 + ((z - 2) / 25) ** 2)
    inside = np.maximum((1 + margin - core) * 27, 0)
    return np.asarray(np.sqrt(bowed_midline(at) ** 2 + inside**2) - 1.1, dtype=np.float32)


def _sylvian(at: Coordinates) -> Field:
    """Return the distance to the lateral fissure and the fluid over the insula."""
    x, y, z = at
    side = np.abs(x)
    up = z + 5 + np.where(x > 0, 0.52, 0.42) * (y - 8)
    beyond = np.maximum(np.maximum(-46 - y, y - 20), 0)
    sheet = np.sqrt(up**2 + np.maximum(37 - side, 0) ** 2 + beyond**2)
    island = np.maximum(np.abs(up - 3) - 11, 0)
    wall = np.sqrt((side - 38 + 0.006 * (y + 8) ** 2) ** 2 + island**2 + np.maximum(np.abs(y + 6) - 20, 0) ** 2)
    return np.asarray(np.minimum(sheet - 0.8, wall - 0.9), dtype=np.float32)


def _bent(painting: Painting, box: Box, seed: int) -> Coordinates:
    """Return the coordinates of a box, each shifted by a smooth random distance."""
    parts = []
    for name, values in zip("xyz", painting.lattice.coordinates(box), strict=True):
        noise = SmoothNoise(stream(seed, f"bend {name}"), _BEND_WAVELENGTH_MM)
        parts.append(values + np.float32(_BEND_MM) * painting.lattice.interpolated(noise, box, 4.0))
    return parts[0], parts[1], parts[2]


def paint_cerebrum(painting: Painting, seed: int) -> None:
    """Paint the cerebrum: gray ribbon over white matter, with fluid in the sulci."""
    box = painting.lattice.box(_LOW, _HIGH)
    at = painting.lattice.coordinates(box)
    depth = -cerebrum(at)
    medial = 2 * _midline(at, 0.3)  # no sulcus from the medial wall may cut into the callosum
    bent = _bent(painting, box, seed)
    walls = _sulci(bent, np.minimum(depth, medial), painting.lattice.step_mm, seed)
    walls = np.minimum(np.minimum(walls, _midline(at, 0.0)), _sylvian(bent))
    below_pia = united(depth, walls, 3.0)
    uneven = 0.3 * SmoothNoise(stream(seed, "ribbon"), 30.0)(at)
    painting.paint(Tissue.GRAY_MATTER, box, -below_pia)
    painting.paint(Tissue.WHITE_MATTER, box, _RIBBON_MM + uneven - below_pia)
