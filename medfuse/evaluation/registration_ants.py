"""Evaluation: ANTs with its own settings for rigid registration."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_subjects import Study
from medfuse.extras import required
from medfuse.geometry import Matrix, world_transform_to_lps
from medfuse.registration.images import grid_lps

ANTS = ("ants", "antspyx", "baselines")


def register_ants(study: Study, seed: int, threads: int) -> Found:
    """Register by ``ants.registration`` of type ``Rigid``, started from aligned centers of mass.

    Avants, Tustison, Song, Cook, Klein and Gee, "A reproducible evaluation of ANTs similarity metric performance in
    brain image registration", NeuroImage 2011.

    Args:
        study: the two volumes.
        seed: ANTs' random seed.
        threads: not used; ANTs takes the number from the environment.

    Raises:
        MissingExtraError: if antspyx is not installed.
        RuntimeError: as ANTs raises it, if it gives up.
    """
    ants = required(*ANTS)
    fixed = _image(ants, study.fixed, study.fixed_affine_ras)
    moving = _image(ants, study.moving, study.moving_affine_ras)
    ants.config.set_ants_deterministic(on=False, seed_value=seed)  # "on" would refuse the type Rigid
    with tempfile.TemporaryDirectory() as folder:
        found = ants.registration(fixed, moving, type_of_transform="Rigid", outprefix=str(Path(folder) / "rigid"))
        (path,) = found["fwdtransforms"]
        return Found(_matrix(ants.read_transform(path)))


def _image(ants: Any, volume: Tensor, affine_ras: Matrix) -> Any:
    spacing, origin, direction = grid_lps(affine_ras)
    return ants.from_numpy(volume.numpy(), origin=origin, spacing=spacing, direction=np.reshape(direction, (3, 3)))


def _matrix(transform: Any) -> Matrix:
    """Return the RAS transform that ITK's parameters of an affine transform and its center stand for."""
    parameters, center = np.asarray(transform.parameters), np.asarray(transform.fixed_parameters)
    matrix_lps = np.eye(4)
    matrix_lps[:3, :3] = parameters[:9].reshape(3, 3)
    matrix_lps[:3, 3] = parameters[9:] + center - matrix_lps[:3, :3] @ center
    return world_transform_to_lps(matrix_lps)
