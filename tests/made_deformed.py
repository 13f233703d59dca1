"""Pairs of scans of one made-up patient whose anatomy is deformed between them, with the true map.

A scan of the deformed patient shows at a point q what the patient at rest shows at ``q + warp(q)``. So the
true map from the scan at rest to the other is the inverse of that, which a fixed-point iteration gives to any
precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from medfuse.geometry import Matrix, Points, apply_affine
from medfuse.phantom import Phantom
from medfuse.registration.starts import about_centers, rotation

Warp = Callable[[Points], Points]

# Ellipsoids of the torso at rest: center and half axes in RAS mm, later ones over earlier ones.
_TORSO = {
    "fat": ((0.0, 0.0, 0.0), (170.0, 115.0, 400.0)),
    "muscle": ((0.0, 0.0, 0.0), (150.0, 97.0, 400.0)),
    "right lung": ((72.0, 5.0, 60.0), (52.0, 70.0, 100.0)),
    "left lung": ((-75.0, 5.0, 65.0), (50.0, 70.0, 100.0)),
    "liver": ((52.0, 10.0, -70.0), (85.0, 72.0, 62.0)),
    "spleen": ((-95.0, -35.0, -65.0), (28.0, 38.0, 48.0)),
    "heart": ((-25.0, 35.0, 20.0), (48.0, 40.0, 46.0)),
    "stomach": ((-45.0, 40.0, -75.0), (42.0, 32.0, 38.0)),
    "right kidney": ((62.0, -52.0, -135.0), (25.0, 24.0, 45.0)),
    "left kidney": ((-62.0, -52.0, -125.0), (25.0, 24.0, 45.0)),
    "aorta": ((-8.0, -30.0, 0.0), (11.0, 11.0, 400.0)),
    "spine": ((0.0, -62.0, 0.0), (24.0, 22.0, 400.0)),
    "canal": ((0.0, -70.0, 0.0), (8.0, 7.0, 400.0)),
}
_VALUES = {
    "MR": (0, 900, 420, 60, 60, 560, 350, 300, 480, 620, 620, 150, 520, 800),
    "CT": (-1000, -100, 50, -820, -820, 110, 120, 130, 25, 150, 150, 160, 330, 20),
    "PT": (0.0, 0.3, 0.7, 0.4, 0.4, 2.3, 1.9, 2.6, 1.3, 3.0, 3.0, 1.6, 1.2, 0.6),
}
_VESSEL = {"MR": 180.0, "CT": 60.0, "PT": 0.4}
_RIB = {"MR": -250.0, "CT": 300.0, "PT": 0.5}
_DISC = {"MR": -200.0, "CT": -180.0, "PT": -0.4}
_TUMOR = {"MR": 250.0, "CT": -50.0, "PT": 6.0}
_NOISE = {"MR": 15.0, "CT": 12.0, "PT": 0.15}
_BLUR_MM = {"MR": 2.0, "CT": 2.0, "PT": 6.0}


@dataclass(frozen=True)
class DeformedPair:
    """A fixed scan, a moving scan of the deformed patient, and what is true about them.

    Attributes:
        fixed: (X, Y, Z) values.
        fixed_affine: (4, 4) index-to-RAS affine.
        moving: (X', Y', Z') values.
        moving_affine: (4, 4) index-to-RAS affine.
        start: (4, 4) the rigid part of the true map, fixed to moving.
        points: (N, 3) targets in the fixed world.
        targets: (N, 3) where they truly lie in the moving world.
    """

    fixed: torch.Tensor
    fixed_affine: Matrix
    moving: torch.Tensor
    moving_affine: Matrix
    start: Matrix
    points: Points
    targets: Points


def bumps(amplitude_mm: float, width_mm: float, spread_mm: float, seed: int, count: int = 6) -> Warp:
    """Return a sum of Gaussian pushes in random directions, at random places within ``spread_mm``."""
    random = np.random.default_rng(seed)
    centers = random.uniform(-spread_mm, spread_mm, (count, 3))
    pushes = random.normal(size=(count, 3))
    pushes *= amplitude_mm / np.linalg.norm(pushes, axis=1, keepdims=True)

    def warp(points: Points) -> Points:
        total = np.zeros_like(points)
        for center, push in zip(centers, pushes, strict=True):
            near = np.exp(-0.5 * ((points - center) ** 2).sum(axis=-1) / width_mm**2)
            total += near[..., None] * push
        return total

    return warp


def breathing(points: Points) -> Points:
    """Return the displacement of a breath: organs under the diaphragm rise, the chest wall falls in."""
    x, y, z = np.moveaxis(points, -1, 0)
    free = 1.0 / (1.0 + np.exp(-(y + 35.0) / 12.0))  # the spine behind keeps its place
    within = np.exp(-(((x / 130.0) ** 2 + (y / 90.0) ** 2) ** 2))
    rise = -16.0 * np.exp(-0.5 * ((z + 40.0) / 65.0) ** 2) * free * within
    fall = 7.0 * np.exp(-0.5 * ((z - 20.0) / 90.0) ** 2) / (1.0 + np.exp(-(y - 30.0) / 20.0))
    return np.stack([np.zeros_like(x), fall, rise], axis=-1)


def inverse(warp: Warp, points: Points) -> Points:
    """Return the q for which ``q + warp(q)`` are the given points."""
    found = points.copy()
    for _ in range(60):
        found = points - warp(found)
    return found


def deformed_head(phantom: Phantom, fixed: str, moving: str, warp: Warp) -> DeformedPair:
    """Scan a phantom's head, and let it deform before the moving scan; ``warp`` is about the scan's middle."""
    volume = phantom.volumes[moving]
    affine = np.asarray(volume.affine.numpy(), dtype=np.float64)
    middle = apply_affine(affine, (np.asarray(volume.shape[1:]) - 1.0) / 2.0)
    points = apply_affine(affine, _indices(tuple(volume.shape[1:])))
    seen_at = apply_affine(np.linalg.inv(affine), points + warp(points - middle))
    rigid = phantom.fixed_to_moving_ras(fixed, moving)
    targets = phantom.head_points_mm(fixed)
    return DeformedPair(
        phantom.volumes[fixed][0].as_tensor(),
        np.asarray(phantom.volumes[fixed].affine.numpy(), dtype=np.float64),
        _sampled(volume[0].as_tensor(), seen_at),
        affine,
        rigid,
        targets,
        inverse(lambda q: warp(q - middle), apply_affine(rigid, targets)),
    )


def torso_pair(fixed: str, moving: str, warp: Warp = breathing, step_mm: float = 4.0, seed: int = 0) -> DeformedPair:
    """Scan the torso at rest, and again with a breath, another field of view and another pose."""
    rigid = about_centers(rotation(np.radians((2.0, -1.5, 3.0))), np.zeros(3), np.array([6.0, -4.0, 9.0]))
    fixed_affine = _grid_affine((380.0, 260.0, 340.0), step_mm)
    moving_affine = _grid_affine((400.0, 280.0, 360.0), step_mm * 1.1)
    fixed_points = apply_affine(fixed_affine, _indices(_grid_shape((380.0, 260.0, 340.0), step_mm)))
    moving_points = apply_affine(moving_affine, _indices(_grid_shape((400.0, 280.0, 360.0), step_mm * 1.1)))
    there = apply_affine(np.linalg.inv(rigid), moving_points)
    targets = _torso_targets(seed)
    return DeformedPair(
        _torso_scan(fixed_points, fixed, step_mm, seed),
        fixed_affine,
        _torso_scan(there + warp(there), moving, step_mm, seed + 1),
        moving_affine,
        rigid,
        targets,
        apply_affine(rigid, inverse(warp, targets)),
    )


def _torso_scan(points: Points, name: str, step_mm: float, seed: int) -> torch.Tensor:
    """Return what a scanner sees at the points of the torso at rest."""
    blur = max(_BLUR_MM[name], step_mm)
    background, *values = _VALUES[name]
    scan = np.full(points.shape[:-1], background, dtype=np.float64)
    for (center, half_axes), value in zip(_TORSO.values(), values, strict=True):
        inside = _inside(points, np.asarray(center), np.asarray(half_axes), blur)
        scan += inside * (value - scan)
    ribs, discs = _bands(points, blur)
    scan += ribs * _RIB[name] + discs * _DISC[name]
    for center, radius in _spots():
        inside = _inside(points, center, np.full(3, radius), blur)
        scan += inside * (_TUMOR if radius > 9.0 else _VESSEL)[name]
    random = np.random.default_rng(seed)
    return torch.from_numpy((scan + _NOISE[name] * random.normal(size=scan.shape)).astype(np.float32))


def _inside(points: Points, center: Points, half_axes: Points, blur_mm: float) -> Points:
    """Return 1 inside an ellipsoid and 0 outside, with an edge as soft as the scanner's point spread."""
    radius = np.sqrt((((points - center) / half_axes) ** 2).sum(axis=-1))
    depth_mm = (1.0 - radius) * half_axes.min()
    return 1.0 / (1.0 + np.exp(np.clip(-depth_mm * 3.4 / blur_mm, -50.0, 50.0)))


def _bands(points: Points, blur_mm: float) -> tuple[Points, Points]:
    """Return where ribs are, sloping bands of the chest wall, and the discs between the vertebrae."""
    wall, lining = (
        _inside(points, np.zeros(3), np.array([across, across - 53.0, 400.0]), blur_mm) for across in (150.0, 138.0)
    )
    height = points[..., 2] + 0.35 * points[..., 1]
    chest = 1.0 / (1.0 + np.exp(-(points[..., 2] + 80.0) / 5.0))
    ribs = (wall - lining) * chest * (0.5 + 0.5 * np.cos(2.0 * np.pi * height / 36.0)) ** 2
    spine = _inside(points, *(np.asarray(value) for value in _TORSO["spine"]), blur_mm)
    return ribs, spine * (0.5 + 0.5 * np.cos(2.0 * np.pi * points[..., 2] / 33.0)) ** 4


def _spots() -> list[tuple[Points, float]]:
    """Return vessels and two tumors in lungs, liver and kidneys: what there is to see inside organs."""
    random = np.random.default_rng(7)
    spots: list[tuple[Points, float]] = []
    for organ in ("right lung", "left lung", "liver", "liver", "right kidney", "left kidney", "spleen"):
        center, half_axes = (np.asarray(value) for value in _TORSO[organ])
        spots += [(center + half_axes * random.uniform(-0.55, 0.55, 3), random.uniform(4.0, 8.0)) for _ in range(8)]
    return [*spots, (np.array([70.0, 20.0, -55.0]), 12.0), (np.array([-78.0, 10.0, 40.0]), 11.0)]


def _torso_targets(seed: int, count: int = 2000) -> Points:
    """Return points inside the trunk, away from the ends of the field of view."""
    random = np.random.default_rng(100 + seed)
    points = random.uniform((-165.0, -110.0, -140.0), (165.0, 110.0, 140.0), (4 * count, 3))
    half_axes = np.asarray(_TORSO["fat"][1])
    return points[((points / half_axes) ** 2).sum(axis=1) < 1.0][:count]


def _sampled(volume: torch.Tensor, indices: Points) -> torch.Tensor:
    """Interpolate a volume at indices (..., 3); its border goes on beyond it."""
    unit = torch.from_numpy(indices / (np.asarray(volume.shape) - 1.0) * 2.0 - 1.0)
    source = volume.to(torch.float64)[None, None]
    found = torch.nn.functional.grid_sample(source, unit.flip(-1)[None], padding_mode="border", align_corners=True)
    return found[0, 0].to(torch.float32)


def _indices(shape: tuple[int, ...]) -> Points:
    return np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).astype(np.float64)


def _grid_shape(extent_mm: tuple[float, ...], step_mm: float) -> tuple[int, ...]:
    return tuple(round(extent / step_mm) for extent in extent_mm)


def _grid_affine(extent_mm: tuple[float, float, float], step_mm: float) -> Matrix:
    """Return the affine of a grid about the origin whose first axis runs to the left."""
    affine = np.diag([-step_mm, step_mm, step_mm, 1.0])
    shape = np.asarray(_grid_shape(extent_mm, step_mm))
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1.0) / 2.0
    return affine
