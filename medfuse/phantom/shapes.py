"""Solid shapes as signed distances in mm: negative inside, positive outside, zero on the surface.

Every function takes the coordinates as arrays that broadcast against each other, so that a separable grid
costs no memory until the coordinates meet. The forms follow J. C. Hart, "Sphere tracing: a geometric method
for the antialiased ray tracing of implicit surfaces", The Visual Computer 12 (1996).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Field: TypeAlias = npt.NDArray[np.float32]
Coordinates: TypeAlias = tuple[Field, Field, Field]
Point: TypeAlias = tuple[float, float, float]


def moved(at: Coordinates, center: Point) -> Coordinates:
    """Return the coordinates relative to a center."""
    return (
        at[0] - np.float32(center[0]),
        at[1] - np.float32(center[1]),
        at[2] - np.float32(center[2]),
    )


def ellipsoid(at: Coordinates, center: Point, radii: Point) -> Field:
    """Return the approximate distance to an ellipsoid, exact to first order at its surface."""
    x, y, z = moved(at, center)
    a, b, c = (np.float32(radius) for radius in radii)
    scaled = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    slope = np.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2) + np.float32(1e-6)
    return np.asarray(scaled * (scaled - 1) / slope, dtype=np.float32)


def rounded_box(at: Coordinates, center: Point, radii: Point) -> Field:
    """Return the approximate distance to an ellipsoid whose outline across z is squarer than an ellipse."""
    x, y, z = moved(at, center)
    u, v, w = (np.square(part / np.float32(radius)) for part, radius in zip((x, y, z), radii, strict=True))
    total = u + v + w
    scaled = np.sqrt(total - np.float32(0.3) * u * v / (total + np.float32(1e-6)))
    a, b, c = (np.float32(radius**-2) for radius in radii)
    slope = np.sqrt(u * a + v * b + w * c) + np.float32(1e-6)
    return np.asarray(scaled * (scaled - 1) / slope, dtype=np.float32)


def ball(at: Coordinates, center: Point, radius: float) -> Field:
    """Return the distance to a ball."""
    x, y, z = moved(at, center)
    return np.asarray(np.sqrt(x * x + y * y + z * z) - np.float32(radius), dtype=np.float32)


def rod(at: Coordinates, start: Point, end: Point, radius: float, end_radius: float | None = None) -> Field:
    """Return the distance to a rod with round ends whose radius runs linearly from one end to the other."""
    x, y, z = moved(at, start)
    u, v, w = (np.float32(e - s) for s, e in zip(start, end, strict=True))
    along = np.clip((x * u + y * v + z * w) / (u * u + v * v + w * w), 0, 1)
    from_axis = np.sqrt((x - along * u) ** 2 + (y - along * v) ** 2 + (z - along * w) ** 2)
    thickness = radius if end_radius is None else radius + (end_radius - radius) * along
    return np.asarray(from_axis - thickness, dtype=np.float32)


def tube(at: Coordinates, knots: tuple[tuple[float, float, float, float], ...], blend_mm: float = 2.0) -> Field:
    """Return the distance to a chain of rods through knots (x, y, z, radius), smoothly joined."""
    distance: Field | None = None
    for first, last in pairwise(knots):
        part = rod(at, first[:3], last[:3], first[3], last[3])
        distance = part if distance is None else united(distance, part, blend_mm)
    if distance is None:
        msg = "a tube needs at least two knots"
        raise ValueError(msg)
    return distance


def united(a: Field, b: Field, blend_mm: float) -> Field:
    """Return the union of two shapes with a fillet of about ``blend_mm``."""
    near = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - near * near / np.float32(4 * blend_mm), dtype=np.float32)


def common(a: Field, b: Field, blend_mm: float) -> Field:
    """Return the intersection of two shapes with an edge rounded by about ``blend_mm``."""
    return np.asarray(-united(-a, -b, blend_mm), dtype=np.float32)


def without(a: Field, b: Field, blend_mm: float) -> Field:
    """Return the first shape less the second, with an edge rounded by about ``blend_mm``."""
    return common(a, -b, blend_mm)
