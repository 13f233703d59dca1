"""Step 2 of 8, register: the innermost loops in C++, where they could be built.

They compute what ``parzen.py`` and ``information.py`` define in numpy, by the same formulas in double precision, and
are used by themselves. Where no compiler was at hand when medfuse was installed, numpy does the work.
"""

from __future__ import annotations

import ctypes
import functools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from medfuse.compiled import Switch, load

_OUT_OF_RANGE = "a bin of the fixed scan is not one of the histogram's"
_loops = Switch()


def without_loops() -> AbstractContextManager[None]:
    """Let numpy compute everything for a while, in the whole process: to compare the two."""
    return _loops.off()


def usable_loops() -> ctypes.CDLL | None:
    """Return the compiled loops; None if numpy does the work."""
    return _find() if _loops.on else None


@functools.cache
def _find() -> ctypes.CDLL | None:
    loops = load(Path(__file__).parent, "_climb")
    if loops is not None:
        loops.medfuse_information.restype = ctypes.c_double
        loops.medfuse_joint_counts.restype = ctypes.c_int64
        loops.medfuse_climb.restype = ctypes.c_bool
    return loops


class Sampled:
    """Points at which two scans are compared, kept as the loops read them.

    Args:
        points: (N, 3) positions.
        fixed_bins: (N,) bins of the fixed scan there.
        moving: (X, Y, Z) the moving scan, scaled to 0 .. bins - 1.
        bins: histogram bins per scan.
    """

    def __init__(
        self,
        points: np.ndarray[Any, Any],
        fixed_bins: np.ndarray[Any, Any],
        moving: np.ndarray[Any, Any],
        bins: int,
    ) -> None:
        self._count, self._bins = len(points), bins
        self._kept = (  # the addresses below are theirs
            np.ascontiguousarray(points, dtype=np.float64),
            np.ascontiguousarray(fixed_bins, dtype=np.int64),
            np.ascontiguousarray(moving, dtype=np.float32),
            np.array(moving.shape, dtype=np.int64),
        )
        points_at, fixed_bins_at, moving_at, shape_at = (_at(array) for array in self._kept)
        self._before = points_at, fixed_bins_at, ctypes.c_int64(len(points))
        self._after = moving_at, shape_at, ctypes.c_int64(bins)

    @functools.cached_property
    def _room(self) -> np.ndarray[Any, Any]:
        return np.empty(4 * self._count + (2 * self._bins + 1) * (self._bins + 3))

    def information(
        self, loops: ctypes.CDLL, to_index: np.ndarray[Any, Any], forces: np.ndarray[Any, Any] | None = None
    ) -> tuple[float, np.ndarray[Any, np.dtype[np.float64]]]:
        """Compute the mutual information and its derivatives; see ``medfuse_information``.

        Args:
            loops: the compiled loops.
            to_index: (4, 4) from the points to voxels of the moving scan.
            forces: (N, 3) float64, set to the derivatives by each point's voxel position; None if not wanted.

        Returns:
            The mutual information in nats, and (3, 4) its derivatives by the upper rows of ``to_index``.

        Raises:
            ValueError: if a bin is out of range.
        """
        gradient = np.empty((3, 4))
        found = float(
            loops.medfuse_information(*self._arguments(to_index), _at(self._room), _at(gradient), _at(forces))
        )
        if np.isnan(found):
            raise ValueError(_OUT_OF_RANGE)
        return found, gradient

    def climb(
        self,
        loops: ctypes.CDLL,
        to_index: np.ndarray[Any, Any],
        center: np.ndarray[Any, Any],
        radius: float,
        change: np.ndarray[Any, Any],
        first_step: float,
        last_step: float,
        least_gain: float,
        iterations: int,
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Climb to the optimum nearby; see ``medfuse_climb``.

        Raises:
            ValueError: if a bin is out of range.
        """
        center, found = np.ascontiguousarray(center, dtype=np.float64), np.array(change, dtype=np.float64)
        numbers = (ctypes.c_double(number) for number in (radius, first_step, last_step, least_gain))
        arguments = (*self._arguments(to_index), _at(self._room), _at(center), *numbers)
        if not loops.medfuse_climb(*arguments, ctypes.c_int64(iterations), _at(found)):
            raise ValueError(_OUT_OF_RANGE)
        return found

    def joint_counts(
        self, loops: ctypes.CDLL, to_index: np.ndarray[Any, Any]
    ) -> tuple[np.ndarray[Any, np.dtype[np.float64]], int]:
        """Compute the joint histogram, (bins, bins), and the number of points inside; see ``medfuse_joint_counts``.

        Raises:
            ValueError: if a bin is out of range.
        """
        counts = np.empty((self._bins, self._bins))
        inside = int(loops.medfuse_joint_counts(*self._arguments(to_index), _at(counts)))
        if inside < 0:
            raise ValueError(_OUT_OF_RANGE)
        return counts, inside

    def _arguments(self, to_index: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        return *self._before, (ctypes.c_double * 12)(*to_index[:3].ravel().tolist()), *self._after


def _at(array: np.ndarray[Any, Any] | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)
