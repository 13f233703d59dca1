"""The fine grid on which the anatomy is drawn once, and the layers painted on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from medfuse.geometry import Matrix
from medfuse.phantom.shapes import Coordinates, Field, Point
from medfuse.phantom.tissues import Tissue

HEAD_LOW_MM: Point = (-96.0, -132.0, -138.0)
HEAD_HIGH_MM: Point = (96.0, 122.0, 106.0)

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Lattice:
    """A regular grid along the head's own axes.

    Attributes:
        step_mm: distance between neighbors, the same along every axis.
    """

    step_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of points along each axis."""
        x, y, z = (
            int(np.ceil((high - low) / self.step_mm)) + 1 for low, high in zip(HEAD_LOW_MM, HEAD_HIGH_MM, strict=True)
        )
        return x, y, z

    @property
    def affine_ras(self) -> Matrix:
        """(4, 4) index-to-head affine."""
        affine = np.diag([self.step_mm] * 3 + [1.0])
        affine[:3, 3] = HEAD_LOW_MM
        return affine

    def box(self, low: Point, high: Point) -> Box:
        """Return the slices that hold the points between two corners, given in mm."""
        first, second, third = (
            slice(
                max(0, int(np.floor((a - start) / self.step_mm))),
                min(count, int(np.ceil((b - start) / self.step_mm)) + 1),
            )
            for a, b, start, count in zip(low, high, HEAD_LOW_MM, self.shape, strict=True)
        )
        return first, second, third

    def everywhere(self) -> Box:
        """Return the slices that hold the whole grid."""
        return self.box(HEAD_LOW_MM, HEAD_HIGH_MM)

    def coordinates(self, box: Box) -> Coordinates:
        """Return x (nx, 1, 1), y (1, ny, 1) and z (1, 1, nz) in mm over a box."""
        x, y, z = (
            (np.arange(part.start, part.stop) * self.step_mm + start).astype(np.float32)
            for part, start in zip(box, HEAD_LOW_MM, strict=True)
        )
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def interpolated(self, function: Callable[[Coordinates], Field], box: Box, resolution_mm: float) -> Field:
        """Evaluate a smooth function on every few points of a box only, and interpolate linearly between.

        Args:
            function: what to evaluate.
            box: where.
            resolution_mm: distance between evaluated points that is fine enough.

        Returns:
            The function over the box.
        """
        every = max(1, int(resolution_mm / self.step_mm))
        coarse = []
        for values in self.coordinates(box):
            line = values.ravel()
            count = -(-(line.size - 1) // every) + 1
            coarse.append(line[0] + np.arange(count, dtype=np.float32) * np.float32(every * self.step_mm))
        x, y, z = coarse
        field = function((x[:, None, None], y[None, :, None], z[None, None, :]))
        for axis in (2, 1, 0):  # the last pass is the largest, and fastest along the first axis
            field = _interpolated_along(field, axis, box[axis].stop - box[axis].start, every)
        return field


def _interpolated_along(field: Field, axis: int, count: int, every: int) -> Field:
    """Fill in the points between the coarse ones along one axis."""
    if every == 1:
        return field
    fine = np.arange(count)
    below = np.minimum(fine // every, field.shape[axis] - 2)
    share = ((fine - below * every) / every).astype(np.float32)
    share = share.reshape([-1 if a == axis else 1 for a in range(3)])
    result = np.take(np.diff(field, axis=axis), below, axis=axis)
    result *= share
    result += np.take(field, below, axis=axis)
    return np.asarray(result, dtype=np.float32)


@dataclass(frozen=True)
class Layer:
    """One coat of a tissue: how much of each voxel of a box it covers, as 0 to 255."""

    tissue: int
    box: Box
    coverage: npt.NDArray[np.uint8]


@dataclass
class Painting:
    """The anatomy as a stack of layers, later ones over earlier ones.

    Attributes:
        lattice: grid on which the layers lie.
        layers: what has been painted so far.
    """

    lattice: Lattice
    layers: list[Layer] = field(default_factory=list)

    def paint(self, tissue: int, box: Box, distance: npt.NDArray[np.floating[Any]]) -> None:
        """Cover what lies inside a signed distance with a tissue, its edge one voxel soft."""
        share = np.clip(127.5 - distance * np.float32(255.0 / self.lattice.step_mm), 0, 255)
        self.layers.append(Layer(tissue, box, np.rint(share).astype(np.uint8)))

    def paint_shape(self, tissue: int, low: Point, high: Point, shape: Callable[[Coordinates], Field]) -> None:
        """Paint a shape that lies between two corners, given in mm."""
        box = self.lattice.box(low, high)
        self.paint(tissue, box, shape(self.lattice.coordinates(box)))

    def values(self, value_of: Mapping[int, float]) -> Field:
        """Render the layers as mixed values; a tissue without a value is left out as if it were not there."""
        canvas = np.full(self.lattice.shape, value_of[Tissue.AIR], dtype=np.float32)
        for layer in self.layers:
            if layer.tissue in value_of:
                patch = canvas[layer.box]
                share = layer.coverage.astype(np.float32) * np.float32(1 / 255)
                patch += (np.float32(value_of[layer.tissue]) - patch) * share
        return canvas

    def labels(self) -> npt.NDArray[np.uint8]:
        """Render the layers as labels: the last tissue that covers at least half of a voxel."""
        canvas = np.zeros(self.lattice.shape, dtype=np.uint8)
        for layer in self.layers:
            canvas[layer.box][layer.coverage >= 128] = int(layer.tissue)
        return canvas
