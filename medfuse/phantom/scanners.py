"""The scanners: which grid each one lays over the head, and how the patient lay in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medfuse.geometry import Matrix
from medfuse.phantom.noise import stream
from medfuse.phantom.options import PhantomOptions
from medfuse.phantom.shapes import Point


@dataclass(frozen=True)
class Scanner:
    """How one volume is acquired.

    Attributes:
        modality: as DICOM names it.
        units: of the voxel values.
        field_of_view_mm: extent along each array axis.
        tilt_deg: turn of the grid about x, y and z against the scanner's axes.
        signs: +1 where an array axis runs to the right, front or head, -1 where it runs the other way.
        center_mm: point of the head that the field of view is centered on.
        fwhm_mm: point spread before and after the noise enters.
        voxel_mm: voxel size by profile.
    """

    modality: str
    units: str
    field_of_view_mm: Point
    tilt_deg: Point
    signs: tuple[int, int, int]
    center_mm: Point
    fwhm_mm: tuple[float, float]
    voxel_mm: dict[str, Point]


SCANNERS: dict[str, Scanner] = {
    "MR_T1": Scanner(
        "MR",
        "arbitrary",
        (192.0, 230.4, 160.0),
        (-7.0, 2.0, 1.0),
        (-1, -1, 1),
        (0.0, -8.0, 8.0),
        (0.9, 0.0),
        {"standard": (1.2, 1.2, 4.0), "small": (3.4, 3.4, 5.0)},
    ),
    "MR_T2": Scanner(
        "MR",
        "arbitrary",
        (200.0, 236.0, 150.0),
        (5.0, -3.0, 2.0),
        (-1, -1, 1),
        (0.0, -6.0, 6.0),
        (0.9, 0.0),
        {"standard": (1.0, 1.0, 5.0), "small": (3.6, 3.6, 6.0)},
    ),
    "CT": Scanner(
        "CT",
        "HU",
        (216.0, 261.0, 225.0),
        (-14.0, 0.0, 0.0),
        (-1, -1, 1),
        (0.0, -8.0, -14.0),
        (1.1, 0.0),
        {"standard": (0.9, 0.9, 3.0), "small": (3.6, 3.6, 4.5)},
    ),
    "PT": Scanner(
        "PT",
        "SUV",
        (240.0, 270.0, 210.0),
        (0.0, 0.0, 0.0),
        (1, 1, 1),
        (0.0, -8.0, -8.0),
        (4.2, 2.8),
        {"standard": (2.5, 2.5, 2.5), "small": (4.5, 4.5, 4.5)},
    ),
    "NM": Scanner(
        "NM",
        "counts",
        (256.0, 256.0, 192.0),
        (0.0, 0.0, 4.0),
        (-1, 1, 1),
        (0.0, -14.0, 2.0),
        (7.5, 4.5),
        {"standard": (4.0, 4.0, 4.0), "small": (5.0, 5.0, 5.0)},
    ),
}
PAINTING_STEP_MM = {"standard": 1.0, "small": 2.2}
_BETWEEN_SERIES = 0.12  # how much of a new pose the patient takes between two series of one session


@dataclass(frozen=True)
class Grid:
    """A scanner's voxel grid: shape, and (4, 4) affine from index to the scanner's RAS mm."""

    shape: tuple[int, int, int]
    affine_ras: Matrix


def rotation(angles_deg: Point) -> Matrix:
    """Return the (4, 4) turn about x, then y, then z."""
    turned = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(angles_deg)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(4)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


def _drawn_pose(random: np.random.Generator, rotation_deg: float, translation_mm: float) -> Matrix:
    """Draw a rigid motion of at least half, and at most the whole, of what is allowed."""
    axis, direction = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
    angle = np.deg2rad(rotation_deg) * random.uniform(0.5, 1)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    pose = np.eye(4)
    pose[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)  # Rodrigues' formula
    pose[:3, 3] = direction * translation_mm * random.uniform(0.5, 1)
    return pose


def head_to_scanner(name: str, options: PhantomOptions) -> Matrix:
    """Return the (4, 4) rigid transform from the head's own space to a scanner's world, both RAS mm.

    Volumes of one scanner share a pose, up to the little that a patient moves between two series.
    """
    session = name.split("_")[0]
    random = stream(options.seed, f"pose {session}")
    pose = _drawn_pose(random, options.rotation_deg, options.translation_mm)
    if name == session or name == "MR_T1":
        return pose
    less = (options.rotation_deg * _BETWEEN_SERIES, options.translation_mm * _BETWEEN_SERIES)
    return _drawn_pose(stream(options.seed, f"pose {name}"), *less) @ pose


def grid_of(name: str, options: PhantomOptions, pose: Matrix) -> Grid:
    """Return the grid that a scanner lays over a head in a given pose."""
    scanner = SCANNERS[name]
    voxel_mm = np.array(scanner.voxel_mm[options.profile]) * options.scale
    counts = np.maximum(np.rint(np.array(scanner.field_of_view_mm) / voxel_mm), 8).astype(int)
    affine = rotation(scanner.tilt_deg) @ np.diag([*(voxel_mm * scanner.signs), 1.0])
    aimed_at = pose[:3, :3] @ np.array(scanner.center_mm) + pose[:3, 3]
    missed_by = stream(options.seed, f"field of view {name}").uniform(-3, 3, 3)
    affine[:3, 3] = aimed_at + missed_by - affine[:3, :3] @ ((counts - 1) / 2)
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)
