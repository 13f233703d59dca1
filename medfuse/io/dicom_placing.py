"""Step 7 of 8, write: where a slice lies in the patient, and what it was made from."""

from __future__ import annotations

import numpy as np
from monai.data import MetaTensor
from pydicom.dataset import Dataset

from medfuse.errors import GeometryError
from medfuse.geometry import Matrix, apply_affine, directions, ras_to_lps, spacing_mm
from medfuse.io.dicom_derived import Derivation
from medfuse.io.dicom_elements import decimal, decimals, valid_text
from medfuse.io.dicom_references import add_common_references, own_slice, slice_corners, slices_met, source_images

_ORTHOGONAL = 1e-4


def affine_of(volume: MetaTensor) -> Matrix:
    """Return the (4, 4) affine of a volume, RAS mm."""
    return np.asarray(volume.affine.detach().cpu().numpy(), dtype=np.float64)


def check_right_angles(affine_ras: Matrix) -> None:
    """Refuse a grid whose rows and columns are not at right angles.

    Raises:
        GeometryError: if they are not.
    """
    axes = directions(affine_ras)
    if abs(float(axes[:, 0] @ axes[:, 1])) > _ORTHOGONAL:
        msg = "rows and columns of the fixed grid are not at right angles, which DICOM cannot tell; resample it"
        raise GeometryError(msg)


def add_slice_geometry(dataset: Dataset, affine_ras: Matrix, k: int) -> None:
    """Say where slice ``k`` of a grid lies."""
    lps = ras_to_lps(affine_ras)
    axes, spacing = directions(lps), spacing_mm(lps)
    normal = np.cross(axes[:, 0], axes[:, 1])
    position = lps[:3, 3] + k * lps[:3, 2]
    dataset.ImageOrientationPatient = decimals([*axes[:, 0], *axes[:, 1]])
    dataset.ImagePositionPatient = decimals(position)
    dataset.PixelSpacing = decimals([spacing[1], spacing[0]])
    dataset.SpacingBetweenSlices = decimal(abs(float(normal @ lps[:3, 2])))
    dataset.SliceLocation = decimal(float(normal @ position))


def add_frame_of_reference(dataset: Dataset, run: Derivation) -> None:
    """Say in whose coordinates an object lies: those of the fixed series."""
    dataset.FrameOfReferenceUID = run.frame_uid
    dataset.PositionReferenceIndicator = valid_text(run.fixed.acquired, "PositionReferenceIndicator")


def add_sources(dataset: Dataset, run: Derivation, affine_ras: Matrix, shape: tuple[int, ...], *slices: int) -> None:
    """Refer to what slices were made from: the fixed slices themselves, and the moving slices that they meet.

    Args:
        dataset: the object of those slices.
        run: the run.
        affine_ras: (4, 4) affine of the fixed grid.
        shape: (X, Y, Z) of the fixed grid.
        slices: indices of the slices.
    """
    own = sorted({one for k in slices for one in own_slice(run.fixed, k)})
    items = source_images(run.fixed, own, moved=False)
    met = [run.fixed.instances[index] for index, _ in own]
    if run.moving is not None:
        corners = np.concatenate([slice_corners(ras_to_lps(affine_ras), shape, k) for k in slices])
        others = slices_met(run.moving, apply_affine(run.fixed_to_moving_lps, corners))
        items += source_images(run.moving, others, moved=True)
        met += [run.moving.instances[index] for index, _ in others]
    dataset.SourceImageSequence = items
    add_common_references(dataset, met)
