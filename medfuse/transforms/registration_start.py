"""Step 2 of 8, register: where files say that the moving volume lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from monai.data import MetaTensor

from medfuse.errors import InputError
from medfuse.geometry import Matrix, Points, apply_affine, corners_mm
from medfuse.io.dicom_registration_sides import Place, place_of_source
from medfuse.io.landmark_files import read_landmarks
from medfuse.io.transform_chain import read_transforms
from medfuse.options import STILL, RegistrationOptions
from medfuse.registration.landmarks import fit_landmarks, nearest_rigid
from medfuse.transforms.volumes import DICOM_KEY

FRAME_KEY = "frame_of_reference_uid"
_RIGID_TO_MM = 0.01
_MUCH_MM = 5.0


@dataclass(frozen=True, eq=False)
class GivenStart:
    """Where a registration sets out from.

    Attributes:
        fixed_to_moving_ras: (4, 4) transform of RAS points in mm; None for the headers as they are.
        notes: what the user should know.
    """

    fixed_to_moving_ras: Matrix | None = None
    notes: tuple[str, ...] = ()


def given_start(fixed: MetaTensor, moving: MetaTensor, options: RegistrationOptions) -> GivenStart:
    """Read the transforms or landmarks that the options name.

    Args:
        fixed: (1, X, Y, Z); a DICOM object is looked through for its frame of reference and its images.
        moving: (1, X', Y', Z').
        options: where something moves, a transform that stretches or shears is replaced by the nearest rigid one.

    Raises:
        UnreadableFileError: if a file is missing, damaged, or of another kind.
        InputError: if what it holds gives no transform between these two volumes.
    """
    if options.landmarks is not None:
        return _from_landmarks(fixed, moving, options.landmarks)
    if options.transforms:
        return _from_transforms(fixed, moving, options)
    return GivenStart()


def share_frame(fixed: MetaTensor, moving: MetaTensor) -> bool:
    """Tell whether two volumes state the same frame of reference."""
    return bool(_frame_of(fixed)) and _frame_of(fixed) == _frame_of(moving)


def _from_transforms(fixed: MetaTensor, moving: MetaTensor, options: RegistrationOptions) -> GivenStart:
    given = read_transforms(options.transforms, _place_of(fixed), _place_of(moving))
    matrix, notes = given.fixed_to_moving_ras, list(given.notes)
    if np.linalg.det(matrix[:3, :3]) < 0:
        msg = "the given transform mirrors the patient, which no registration does; correct its axes"
        raise InputError(msg)
    rigid = nearest_rigid(matrix, corners_mm(fixed.affine.numpy(), _shape(fixed)))
    apart_mm = float(rigid.residuals_mm.max())
    if apart_mm > _RIGID_TO_MM:
        notes.append(
            f"the given transform is not rigid: it stretches or shears by up to {apart_mm:.2f} mm in the fixed volume"
            + ("; the nearest rigid one is refined" if options.method not in STILL else "")
        )
        matrix = rigid.fixed_to_moving_ras if options.method not in STILL else matrix
    return GivenStart(matrix, tuple(notes))


def _from_landmarks(fixed: MetaTensor, moving: MetaTensor, path: str | Path) -> GivenStart:
    landmarks = read_landmarks(path)
    fit = fit_landmarks(landmarks.fixed_mm, landmarks.moving_mm)
    worst = int(fit.residuals_mm.argmax())
    note = (
        f"{len(landmarks.lines)} landmarks agree to {fit.rms_mm:.2f} mm (root mean square), "
        f"the one on line {landmarks.lines[worst]} to {fit.residuals_mm[worst]:.2f} mm"
    )
    notes = [note + ("; this is much, check them" if fit.residuals_mm[worst] > _MUCH_MM else "")]
    for volume, points, role in ((fixed, landmarks.fixed_mm, "fixed"), (moving, landmarks.moving_mm, "moving")):
        outside = _outside(volume, points)
        if outside:
            notes.append(f"{outside} of the {role} landmarks lie outside the {role} volume; check that they are RAS mm")
    return GivenStart(fit.fixed_to_moving_ras, tuple(notes))


def _outside(volume: MetaTensor, points_mm: Points) -> int:
    """Count the points that no voxel of a volume holds."""
    indices = apply_affine(np.linalg.inv(volume.affine.numpy()), points_mm)
    return int(((indices < -0.5) | (indices > np.array(_shape(volume)) - 0.5)).any(axis=1).sum())


def _place_of(volume: MetaTensor) -> Place:
    return place_of_source(_frame_of(volume), volume.meta.get(DICOM_KEY))


def _frame_of(volume: MetaTensor) -> str:
    return str(volume.meta.get(FRAME_KEY) or "")


def _shape(volume: MetaTensor) -> tuple[int, int, int]:
    return volume.shape[1], volume.shape[2], volume.shape[3]
