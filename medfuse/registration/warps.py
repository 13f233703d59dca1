"""Smooth displacements of the head with few numbers: rigid, similar, affine, quadratic.

Sums run through ``einsum``, whose order does not depend on the number of threads as that of BLAS does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from medfuse.geometry import Points
from medfuse.registration.information import Array

KINDS = ("rigid", "similar", "affine", "quadratic")


@dataclass(frozen=True)
class Warp:
    """A displacement that is linear in its numbers.

    Attributes:
        kind: one of ``KINDS``; ``"rigid"`` has 6 numbers and is linear too, so it holds for small turns only;
            ``"similar"`` has 7, the head grows too; ``"affine"`` has 12 and ``"quadratic"`` 30.
        center_mm: (3,) where turns and stretches have their middle, RAS mm.
        radius_mm: distance at which a turn or stretch of 1 displaces by 1 mm.
        numbers: in mm.
    """

    kind: str
    center_mm: Points
    radius_mm: float
    numbers: Array

    def at(self, points_mm: Points) -> Points:
        """Return the displacement in mm at points, (N, 3)."""
        return displace(terms(self.kind, points_mm, self.center_mm, self.radius_mm), self.kind, self.numbers)


def terms(kind: str, points_mm: Points, center_mm: Points, radius_mm: float) -> Array:
    """Return the polynomials of a kind of displacement at points: (N, 4), or (N, 10) for a quadratic one."""
    x, y, z = ((points_mm - center_mm) / radius_mm).T
    columns = [np.ones_like(x), x, y, z]
    if kind == "quadratic":
        columns += [x * x, y * y, z * z, x * y, x * z, y * z]
    return np.stack(columns, axis=1)


def displace(at: Array, kind: str, numbers: Array) -> Points:
    """Return the displacement, (N, 3) in mm, of numbers at polynomials from ``terms``."""
    weights = np.einsum("tkp,p->tk", _weights(kind), numbers)
    return np.asarray(np.einsum("nt,tk->nk", at, weights))


def pull_back(at: Array, kind: str, slopes: Points) -> Array:
    """Return the derivative by the numbers from that by each point's displacement, (N, 3)."""
    return np.asarray(np.einsum("tkp,tk->p", _weights(kind), np.einsum("nt,nk->tk", at, slopes)))


def closest(kind: str, displacement: Points, points_mm: Points, center_mm: Points, radius_mm: float) -> Warp:
    """Return the warp of a kind that comes closest, in least squares, to a displacement, (N, 3) in mm."""
    at = terms(kind, points_mm, center_mm, radius_mm)
    weights = _weights(kind)
    squares = np.einsum("nt,ns->ts", at, at)
    normal = np.einsum("tkp,ts,skq->pq", weights, squares, weights)
    numbers = np.linalg.solve(normal + 1e-9 * np.eye(len(normal)), pull_back(at, kind, displacement))
    return Warp(kind, center_mm, radius_mm, numbers)


def without(kind: str, displacement: Points, points_mm: Points) -> Points:
    """Take from a displacement, (N, 3) in mm, what a simpler kind explains of it."""
    center = points_mm.mean(axis=0)
    return np.asarray(displacement - closest(kind, displacement, points_mm, center, 100.0).at(points_mm))


def mean_length(displacement: Points) -> float:
    """Return the mean length of vectors, (N, 3)."""
    return float(np.linalg.norm(displacement, axis=1).mean())


@cache
def _weights(kind: str) -> Array:
    """Return what each number adds to each polynomial of each coordinate, (terms, 3, numbers)."""
    if kind in ("affine", "quadratic"):
        count = 4 if kind == "affine" else 10
        return np.eye(3 * count).reshape(count, 3, 3 * count)
    weights = np.zeros((4, 3, 7))
    weights[0, :, :3] = np.eye(3)
    weights[2, 2, 3], weights[3, 1, 3] = 1.0, -1.0  # about x
    weights[3, 0, 4], weights[1, 2, 4] = 1.0, -1.0  # about y
    weights[1, 1, 5], weights[2, 0, 5] = 1.0, -1.0  # about z
    weights[1:, :, 6] = np.eye(3)
    return weights if kind == "similar" else weights[:, :, :6]
