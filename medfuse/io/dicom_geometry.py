"""Where the slices of a stack lie, and the regular grid that they are brought onto.

Nothing but ImagePositionPatient and ImageOrientationPatient says where a slice lies: not the order of files, not
InstanceNumber, not SliceThickness. Positions that are not a regular stack at right angles get one planned here:
slices that slide along each other (gantry tilt) and slices at uneven distances (one is missing, the spacing
changes) are resampled by ``medfuse.io.dicom_resample``; what leaves too much to guess is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medfuse.errors import GeometryError
from medfuse.geometry import Matrix, check_affine, lps_to_ras
from medfuse.io.dicom_frames import Frame

MOST_MISSING_TOGETHER = 2
MOST_MISSING_SHARE = 0.1  # of all slices; a single one may always be missing
FEWEST_SLICES = 4

SAME_PLACE_MM = 1e-2
_UNEVEN = 0.02  # of the slice spacing: a slice farther off its place is resampled
_SLID_PIXELS = 0.1  # off the straight stack: farther ones are moved back
_MOST_SLID = 2.0  # of the image's size
_NOT_UNIT = 0.02
_NOT_SQUARE = 0.02
_COVERED = 1.5  # of the spacing, or of the thicker slice as below: a larger distance is a gap
_COVERED_THICKNESS = 1.1
_MOST_SLICES_FOR_ONE = 2.0
_MOST_NAMED = 10

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """A regular grid at right angles, and how to fill it from the slices of a stack.

    Attributes:
        order: for each slice along the normal, its index in the frames that were given.
        affine_ras: (4, 4) of the grid.
        shape: (X, Y, Z) of the grid.
        shifts: (N, 2) where the first voxel of each ordered slice lies on the grid, in voxels along X and Y.
        slid: whether any slice has to be moved within its plane.
        at: (N,) where each ordered slice lies along Z, in grid slices.
        even: whether they lie on whole numbers, in order, with none left out.
        missing: number of grid slices that no slice covers.
        tilt_degrees: angle between the stack and the normal of its slices.
    """

    order: tuple[int, ...]
    affine_ras: Matrix
    shape: tuple[int, int, int]
    shifts: Numbers
    slid: bool
    at: Numbers
    even: bool
    missing: int
    tilt_degrees: float

    @property
    def slices(self) -> list[int]:
        """Return for each grid slice which ordered slice lies there; -1 where it is interpolated."""
        wanted = np.arange(self.shape[2])
        above = np.searchsorted(self.at, wanted).clip(1, len(self.at) - 1)
        nearest = np.where(wanted - self.at[above - 1] < self.at[above] - wanted, above - 1, above)
        there = np.abs(self.at[nearest] - wanted) <= _UNEVEN
        return [int(index) for index in np.where(there, nearest, -1)]


def axes_of(orientation: Sequence[float], name: str) -> Matrix:
    """Return the right-handed unit vectors of row, column and normal, LPS, one per column.

    Args:
        orientation: six direction cosines.
        name: what to call the image in the message.

    Raises:
        GeometryError: if the cosines are not two unit vectors at right angles.
    """
    row, column = np.asarray(orientation[:3], dtype=np.float64), np.asarray(orientation[3:], dtype=np.float64)
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if not np.isfinite(lengths).all() or np.abs(lengths - 1.0).max() > _NOT_UNIT or abs(row @ column) > _NOT_SQUARE:
        msg = f"{name}: ImageOrientationPatient is not two unit vectors at right angles; correct the header"
        raise GeometryError(msg)
    row = row / lengths[0]
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def same_place(first: Frame, second: Frame) -> bool:
    """Tell whether two parallel frames have their first voxel at one point."""
    if first.position is None or second.position is None:
        return False
    return float(np.abs(np.subtract(first.position, second.position)).max()) <= SAME_PLACE_MM


def plan_grid(frames: Sequence[Frame], rows: int, columns: int, name: str) -> Grid:
    """Find the regular grid for parallel slices at different places.

    Args:
        frames: with position, orientation and spacing, of one orientation and spacing.
        rows: pixels along the columns of the image.
        columns: pixels along its rows.
        name: what to call the series in messages.

    Returns:
        The grid; its third axis points along the normal of the slices.

    Raises:
        GeometryError: if there are too few slices, too many are missing, or a number is absurd.
    """
    first = frames[0]
    if first.orientation is None or first.spacing is None or any(frame.position is None for frame in frames):
        msg = f"{name} states no position, orientation or pixel spacing; export the original images"
        raise GeometryError(msg)
    axes = axes_of(first.orientation, name)
    pixel = np.asarray(first.spacing[::-1], dtype=np.float64)  # along X, along Y
    _check_pixel(pixel, name)
    local = (
        np.asarray([frame.position for frame in frames], dtype=np.float64) @ axes
    )  # (N, 3) along row, column, normal
    order = np.argsort(local[:, 2], kind="stable")
    local = local[order]
    thickness = np.asarray([frames[index].thickness for index in order], dtype=np.float64)
    step = _step(local[:, 2], thickness, name)
    at = _along(local[:, 2], step)
    missing = _missing(local[:, 2], step, thickness, name)
    slid = _slid(local, pixel)
    low = local[:, :2].min(axis=0) if slid else local[0, :2]
    shifts = (local[:, :2] - low) / pixel if slid else np.zeros((len(frames), 2))
    shape = _shape(rows, columns, shifts, at, name)
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array([*pixel, step])
    affine[:3, 3] = axes @ np.array([*low, local[0, 2]])
    affine = lps_to_ras(affine)
    check_affine(affine, name, shape)
    even = len(at) == shape[2] and bool(np.abs(at - np.arange(shape[2])).max() <= _UNEVEN)
    return Grid(
        tuple(int(index) for index in order), affine, shape, shifts, slid, at, even, missing, _tilt_degrees(local)
    )


def _check_pixel(pixel: Numbers, name: str) -> None:
    if not np.isfinite(pixel).all() or (pixel <= 0).any():
        msg = f"{name}: PixelSpacing is {pixel[1]:g} x {pixel[0]:g} mm; correct the header"
        raise GeometryError(msg)


def _step(along: Numbers, thickness: Numbers, name: str) -> float:
    """Choose the spacing of the grid: that of the slices, and the finer one where it changes."""
    if len(along) < FEWEST_SLICES:
        msg = f"{name} has {len(along)} slice{'s'[: len(along) != 1]}; a volume needs at least {FEWEST_SLICES}"
        raise GeometryError(msg)
    distances = np.diff(along)
    if distances.min() <= SAME_PLACE_MM:
        msg = f"{name} has slices at one distance but different places in their plane; it is no stack"
        raise GeometryError(msg)
    mean = float((along[-1] - along[0]) / (len(along) - 1))
    if np.abs(along - (along[0] + mean * np.arange(len(along)))).max() <= _UNEVEN * mean:
        return mean
    finest = float(np.median(distances[distances <= _COVERED * distances.min()]))
    spread = float(along[-1] - along[0])
    too_many = spread / finest > _MOST_SLICES_FOR_ONE * len(along)
    return float(np.median(distances)) if too_many else finest


def _along(along: Numbers, step: float) -> Numbers:
    """Return where the slices lie in steps; whole numbers where the positions are no farther off than rounding."""
    at = (along - along[0]) / step
    whole = np.round(at)
    return np.asarray(np.where(np.abs(at - whole) <= _UNEVEN, whole, at), dtype=np.float64)


def _missing(along: Numbers, step: float, thickness: Numbers, name: str) -> int:
    """Count the slices that are not there, and refuse if that is too much to fill in."""
    distances = np.diff(along)
    slabs = np.maximum(thickness[1:], thickness[:-1])
    gaps = (distances > _COVERED * step) & (distances > _COVERED_THICKNESS * slabs)
    lost = np.where(gaps, np.maximum(np.round(distances / step) - 1, 1), 0).astype(int)
    total, together = int(lost.sum()), int(lost.max())
    allowed = max(1, int(MOST_MISSING_SHARE * (len(along) + total)))
    if together > MOST_MISSING_TOGETHER or total > allowed:
        msg = (
            f"{name}: {total} slices are missing ({together} in a row), more than can be filled in "
            f"({MOST_MISSING_TOGETHER} in a row, {allowed} in all); export the whole series"
        )
        raise GeometryError(msg)
    return total


def _slid(local: Numbers, pixel: Numbers) -> bool:
    """Tell whether slices lie beside the straight line along the normal."""
    beside = local[:, :2] - local[0, :2]
    return bool((np.abs(beside) > _SLID_PIXELS * pixel).any())


def _tilt_degrees(local: Numbers) -> float:
    along = local[-1] - local[0]
    return float(np.degrees(np.arctan2(np.hypot(along[0], along[1]), abs(along[2]))))


def _shape(rows: int, columns: int, shifts: Numbers, at: Numbers, name: str) -> tuple[int, int, int]:
    """Return the size of a grid that holds every slice whole."""
    wider = np.ceil(shifts.max(axis=0) - 1e-6).astype(int)
    if (wider > _MOST_SLID * np.array([columns, rows])).any():
        msg = f"{name}: the slices lie beside each other, not behind each other; it is no stack"
        raise GeometryError(msg)
    return int(columns + wider[0]), int(rows + wider[1]), int(np.floor(at[-1] + _UNEVEN)) + 1


def notes_of(grid: Grid) -> list[str]:
    """Say in words what is not as it was acquired."""
    notes = []
    if grid.slid:
        notes.append(
            f"the slices slide along each other (gantry tilt, {grid.tilt_degrees:.1f} degrees): "
            "each was moved back within its plane onto a grid at right angles"
        )
    made = [at for at, source in enumerate(grid.slices, 1) if source < 0]
    shown = ", ".join(str(at) for at in made[:_MOST_NAMED]) + (" ..." if len(made) > _MOST_NAMED else "")
    if grid.missing:
        notes.append(f"{grid.missing} of {grid.shape[2]} slices are missing; interpolated from neighbors: {shown}")
    elif made:
        notes.append(f"the slices are unevenly spaced; interpolated onto the even grid of {grid.shape[2]}: {shown}")
    return notes
