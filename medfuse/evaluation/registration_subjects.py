"""Evaluation: two volumes whose true alignment is known, made up or read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from monai.data import MetaTensor
from torch import Tensor

from medfuse.errors import InputError, OptionError
from medfuse.evaluation.registration_options import modalities_of
from medfuse.evaluation.registration_pairs import FilePair
from medfuse.geometry import Matrix, Points
from medfuse.io.checks import shown
from medfuse.io.transform_files import read_transform
from medfuse.phantom import Phantom, PhantomOptions, make_phantom
from medfuse.registration.body import find_body
from medfuse.registration.images import to_image
from medfuse.registration.pyramid import coarsen
from medfuse.transforms.load import load_volume

_SCALE = 0.85  # of the small phantom: voxels of about 3 mm
_VOLUMES = {"MR": "MR_T1", "CT": "CT", "PT": "PT", "NM": "NM"}
_OTHER_MR = "MR_T2"
_BODY_LEVEL_MM = 4.0
_MOST_POINTS = 2000
_RIGID_WITHIN = 1e-4


@dataclass(frozen=True)
class PhantomHead:
    """A made-up head seen by two scanners.

    Attributes:
        seed: of the phantom.
        fixed: name of the phantom's fixed volume.
        moving: name of its moving volume.
    """

    seed: int
    fixed: str
    moving: str

    @property
    def case(self) -> str:
        """Name of the head."""
        return f"head {self.seed}"


Subject: TypeAlias = PhantomHead | FilePair


@dataclass(frozen=True)
class Study:
    """Two volumes and the truth about them.

    Attributes:
        fixed: (X, Y, Z) float32.
        fixed_affine_ras: its (4, 4) index-to-RAS affine.
        moving: (X', Y', Z') float32.
        moving_affine_ras: its (4, 4) index-to-RAS affine.
        fixed_to_moving_ras: the true (4, 4) rigid transform of RAS points in mm.
        points_mm: (N, 3) points spread over the fixed head, RAS mm.
    """

    fixed: Tensor
    fixed_affine_ras: Matrix
    moving: Tensor
    moving_affine_ras: Matrix
    fixed_to_moving_ras: Matrix
    points_mm: Points


def phantom_heads(pair: str, heads: int, seed: int) -> list[PhantomHead]:
    """Return phantom heads for a pair of modalities; MR beside MR is T1 beside T2.

    Raises:
        OptionError: if the phantom has only one volume of that kind.
    """
    fixed, moving = modalities_of(pair)
    names = _VOLUMES[fixed], _OTHER_MR if fixed == moving == "MR" else _VOLUMES[moving]
    if names[0] == names[1]:
        msg = f"pair is {pair!r}, and a phantom has one {fixed} only; choose two modalities, or MR-MR"
        raise OptionError(msg)
    return [PhantomHead(seed + number, *names) for number in range(heads)]


def study_of(subject: Subject) -> Study:
    """Make or read the volumes of a subject.

    Raises:
        InputError: if a file cannot be used, or the truth is not rigid.
    """
    return _of_phantom(subject) if isinstance(subject, PhantomHead) else _of_files(subject)


def _of_phantom(head: PhantomHead) -> Study:
    phantom = _phantom(head.seed, tuple(dict.fromkeys((head.fixed, head.moving))))
    fixed, moving = phantom.volumes[head.fixed], phantom.volumes[head.moving]
    return Study(
        *_values_and_affine(fixed),
        *_values_and_affine(moving),
        phantom.fixed_to_moving_ras(head.fixed, head.moving),
        phantom.head_points_mm(head.fixed, _MOST_POINTS),
    )


@lru_cache(maxsize=8)
def _phantom(seed: int, volumes: tuple[str, ...]) -> Phantom:
    return make_phantom(PhantomOptions(seed=seed, profile="small", volumes=volumes, scale=_SCALE))


@lru_cache(maxsize=4)
def _of_files(pair: FilePair) -> Study:
    fixed, fixed_affine = _values_and_affine(load_volume(pair.fixed, pair.fixed_modality))
    moving, moving_affine = _values_and_affine(load_volume(pair.moving, pair.moving_modality))
    points = find_body(coarsen(to_image(fixed, fixed_affine), _BODY_LEVEL_MM)).points_mm
    every = -(-len(points) // _MOST_POINTS)
    return Study(fixed, fixed_affine, moving, moving_affine, _truth(pair), points[::every])


def _values_and_affine(volume: MetaTensor) -> tuple[Tensor, Matrix]:
    return volume.as_tensor()[0], np.asarray(volume.affine.numpy(), dtype=np.float64)


def _truth(pair: FilePair) -> Matrix:
    if pair.truth is None:
        return np.eye(4)
    true = read_transform(pair.truth)
    turn = true[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > _RIGID_WITHIN or np.linalg.det(turn) < 0.0:
        msg = f"{shown(pair.truth)} is not rigid; give a turn and a shift only"
        raise InputError(msg)
    return np.asarray(np.linalg.inv(true) if pair.swapped else true, dtype=np.float64)
