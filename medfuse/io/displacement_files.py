"""Deformations as files that ANTs, Slicer and SimpleITK read: a displacement field, or a composite transform."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name its own documentation uses)
import torch

from medfuse.errors import OutputError
from medfuse.geometry import Matrix, apply_affine, directions, ras_to_lps, spacing_mm, world_transform_to_lps
from medfuse.io.checks import shown
from medfuse.io.itk_formats import itk_name, last_line, quiet_itk
from medfuse.io.output_folder import whole_file

_FLIP = np.diag([-1.0, -1.0, 1.0])


def write_displacement(
    displacement_mm: torch.Tensor, affine_ras: Matrix, start_ras: Matrix, path: str | os.PathLike[str]
) -> Path:
    """Write the map ``start_ras @ p + displacement(p)`` for other programs, replacing a file of this name.

    A ``.nii.gz`` holds the whole map as one field of vectors in LPS mm, the linear part included: what ANTs takes
    with ``-t`` and Slicer loads as a transform. It says nothing beyond its own lattice. An ``.h5`` holds the linear
    part and the displacement as a composite transform of ITK, which goes on linearly there.

    Args:
        displacement_mm: (3, I, J, K) displacements in RAS mm along the moving world's axes.
        affine_ras: (4, 4) from indices of their nodes to the fixed world, RAS mm.
        start_ras: (4, 4) linear part, fixed to moving, RAS mm.
        path: file to write, ``.nii.gz`` or ``.h5``.

    Returns:
        The path.

    Raises:
        OutputError: if the name ends otherwise, or the file cannot be written.
    """
    path = Path(path)
    values = displacement_mm.detach().cpu().numpy().astype(np.float64)
    with whole_file(path, overwrite=True) as temporary:
        try:
            with quiet_itk():
                if path.name.endswith(".nii.gz"):
                    _write_field(values, affine_ras, start_ras, temporary, shown(path))
                elif path.suffix == ".h5":
                    _write_composite(values, affine_ras, start_ras, temporary)
                else:
                    msg = f"{shown(path)}: a deformation is written as .nii.gz or .h5; give one of these"
                    raise OutputError(msg)
        except (RuntimeError, UnicodeError) as error:
            msg = f"{shown(path)} was not written ({last_line(error)}); check free space and permissions"
            raise OutputError(msg) from error
    return path


def _write_field(values: np.ndarray, affine_ras: Matrix, start_ras: Matrix, path: Path, name: str) -> None:
    nodes = np.moveaxis(np.indices(values.shape[1:]), 0, -1).astype(np.float64)  # (I, J, K, 3)
    here = apply_affine(affine_ras, nodes)
    total = apply_affine(start_ras, here) - here + np.moveaxis(values, 0, -1)
    image = _image(total, affine_ras, np.float32)
    sitk.WriteImage(image, itk_name(path), useCompression=True)
    written = sitk.ReadImage(itk_name(path))  # ITK says nothing of a disk that is full
    if not np.array_equal(sitk.GetArrayViewFromImage(written), sitk.GetArrayViewFromImage(image)):
        msg = f"{name} was not written completely; free some space or choose another disk"
        raise OutputError(msg)


def _write_composite(values: np.ndarray, affine_ras: Matrix, start_ras: Matrix, path: Path) -> None:
    start_lps = world_transform_to_lps(start_ras)
    linear = sitk.AffineTransform(3)
    linear.SetMatrix(start_lps[:3, :3].ravel().tolist())
    linear.SetTranslation(start_lps[:3, 3].tolist())
    on_fixed_side = np.einsum("ab,bijk->ijka", np.linalg.inv(start_ras[:3, :3]), values)
    whole = sitk.CompositeTransform(3)
    whole.AddTransform(linear)
    whole.AddTransform(sitk.DisplacementFieldTransform(_image(on_fixed_side, affine_ras, np.float64)))
    sitk.WriteTransform(whole, itk_name(path))


def _image(vectors: np.ndarray, affine_ras: Matrix, kind: type) -> sitk.Image:
    """Make an image of RAS vectors, (I, J, K, 3): LPS vectors on the same nodes."""
    field = np.ascontiguousarray((vectors @ _FLIP).transpose(2, 1, 0, 3).astype(kind))
    image = sitk.GetImageFromArray(field, isVector=True)
    affine_lps = ras_to_lps(affine_ras)
    image.SetSpacing(spacing_mm(affine_lps).tolist())
    image.SetOrigin(affine_lps[:3, 3].tolist())
    image.SetDirection(directions(affine_lps).ravel().tolist())
    return image
