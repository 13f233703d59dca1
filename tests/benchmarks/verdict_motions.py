"""Known errors that are planted for a verdict to find: motions, cut scans, and a bent head."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from verdict_patients import Scan

from medfuse.geometry import Matrix, Points, apply_affine


def turn(axis: Points, degrees: float) -> Matrix:
    """Return the (3, 3) rotation about an axis."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def motion(rotation: Matrix, shift: Points, center: Points) -> Matrix:
    """Return the (4, 4) transform that turns about a point, then shifts."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = center + shift - rotation @ center
    return matrix


def mean_error(found: Matrix, truth: Matrix, points: Points) -> float:
    """Return the mean distance in mm between the images of points."""
    return float(np.linalg.norm(apply_affine(found, points) - apply_affine(truth, points), axis=1).mean())


def wrong_by(random: np.random.Generator, points: Points, error_mm: float, turned: float | None = None) -> Matrix:
    """Draw a rigid motion that moves points by a mean distance, part of it by turning."""
    share = random.uniform(0.0, 1.0) if turned is None else turned
    axis, direction = random.standard_normal((2, 3))
    direction /= np.linalg.norm(direction)
    center = points.mean(axis=0)
    low, high = 0.0, 4.0 * error_mm + 1.0
    for _ in range(40):
        middle = (low + high) / 2
        matrix = motion(turn(axis, share * middle), direction * (1 - share) * middle, center)
        low, high = (middle, high) if mean_error(matrix, np.eye(4), points) < error_mm else (low, middle)
    return matrix


def slab(scan: Scan, share: float, side: int) -> Scan:
    """Keep a share of the slices along the third axis, from the first or from the last on."""
    count = scan.volume.shape[2]
    kept = round(count * share)
    first = 0 if side == 0 else count - kept
    shift = np.eye(4)
    shift[2, 3] = first
    return Scan(scan.volume[:, :, first : first + kept].contiguous(), scan.affine_ras @ shift)


class SmoothBend:
    """A smooth displacement of space: waves of about 200 mm, with what a rigid motion explains taken out."""

    def __init__(self, random: np.random.Generator, points: Points, mean_mm: float) -> None:
        self.waves = random.standard_normal((12, 3)) * 2 * np.pi / 260.0
        self.phases = random.uniform(0, 2 * np.pi, 12)
        self.weights = random.standard_normal((12, 3))
        self.center = points.mean(axis=0)
        self.linear = np.zeros((4, 3))
        raw = self._raw(points)
        design = self._rigid_design(points)
        self.rigid = np.linalg.lstsq(design, raw.ravel(), rcond=None)[0]
        self.scale = mean_mm / np.linalg.norm(raw - (design @ self.rigid).reshape(-1, 3), axis=1).mean()

    def _raw(self, points: Points) -> Points:
        return np.sin((points - self.center) @ self.waves.T + self.phases) @ self.weights

    def _rigid_design(self, points: Points) -> Points:
        x, y, z = (points - self.center).T
        zero, one = np.zeros_like(x), np.ones_like(x)
        rows = [[one, zero, zero, zero, z, -y], [zero, one, zero, -z, zero, x], [zero, zero, one, y, -x, zero]]
        return np.stack([np.stack(row, axis=1) for row in rows], axis=1).reshape(-1, 6)

    def shift(self, points: Points) -> Points:
        """Return the displacement (N, 3) in mm at points."""
        rigid = (self._rigid_design(points) @ self.rigid).reshape(-1, 3)
        return self.scale * (self._raw(points) - rigid)

    def applied(self, scan: Scan) -> Scan:
        """Return the scan of the bent patient: what lies at ``x`` was at ``x + shift(x)``."""
        index = np.stack(np.meshgrid(*[np.arange(n) for n in scan.volume.shape], indexing="ij"), -1).reshape(-1, 3)
        world = apply_affine(scan.affine_ras, index.astype(np.float64))
        back = apply_affine(np.linalg.inv(scan.affine_ras), world + self.shift(world))
        values = map_coordinates(scan.volume.numpy(), back.T, order=1, mode="nearest")
        return Scan(torch.from_numpy(values.reshape(scan.volume.shape).astype(np.float32)), scan.affine_ras)

    def inverse(self, points: Points) -> Points:
        """Return where points of the straight patient lie in the bent one."""
        there = points.copy()
        for _ in range(30):
            there = points - self.shift(there)
        return there
