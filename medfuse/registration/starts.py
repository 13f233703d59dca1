"""The poses from which a registration sets out, so that a wrong header or a turned head cannot trap it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from medfuse.geometry import Matrix, Points

HEADER = "header"
GIVEN = "given"


@dataclass(frozen=True)
class Start:
    """A pose to begin from.

    Attributes:
        name: how it came about, such as ``"header"`` or ``"body +40 0 -40"``.
        fixed_to_moving_ras: (4, 4) rigid transform of RAS points.
    """

    name: str
    fixed_to_moving_ras: Matrix


def make_starts(center_pairs: dict[str, tuple[Points, Points]], rotation_degrees: float) -> list[Start]:
    """List the poses: the headers as they are, and every rotation about every pair of centers.

    Args:
        center_pairs: for each way to find it, the center (3,) of the head in the fixed and the moving scan.
        rotation_degrees: the rotations are all combinations of minus this, zero and plus this about the
            three axes, 27 in all.

    Returns:
        The header's pose first, then 27 for each pair.
    """
    angles = (0.0, -rotation_degrees, rotation_degrees)
    turned = {}
    for turn in np.ndindex(3, 3, 3):
        degrees = [angles[i] for i in turn]
        turned[" ".join(f"{value:+.0f}" for value in degrees)] = rotation(np.radians(degrees))
    return [
        Start(HEADER, np.eye(4)),
        *(
            Start(f"{name} {label}", about_centers(turn, fixed_center, moving_center))
            for name, (fixed_center, moving_center) in center_pairs.items()
            for label, turn in turned.items()
        ),
    ]


def rotation(radians: Points) -> Matrix:
    """Return the (3, 3) rotation about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(radians), np.sin(radians)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float64)


def turns(spacing_degrees: float, largest_degrees: float) -> list[Matrix]:
    """List rotations about as far apart as asked, (3, 3) each, the identity among them.

    Args:
        spacing_degrees: edge of the body-centered lattice of rotation vectors.
        largest_degrees: none turns farther than this.
    """
    reach = int(np.ceil(largest_degrees / spacing_degrees))
    corners = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = np.concatenate([corners, corners + 0.5]) * spacing_degrees
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= largest_degrees]
    return list(Rotation.from_rotvec(vectors, degrees=True).as_matrix())


def about_centers(turn: Matrix, fixed_center: Points, moving_center: Points) -> Matrix:
    """Return the (4, 4) transform that turns about one center and puts it on the other."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = moving_center - turn @ fixed_center
    return matrix
