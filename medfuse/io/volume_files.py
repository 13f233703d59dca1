"""Steps 1 and 7 of 8, read and write: NIfTI, MHA/MHD and NRRD."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from medfuse.errors import InputError, OutputError, UnreadableFileError
from medfuse.geometry import Matrix, check_affine
from medfuse.io.checks import check_is_file, shown
from medfuse.io.itk_formats import read_itk, write_itk
from medfuse.io.nifti import COLOR_DTYPE, read_nifti, write_nifti
from medfuse.io.output_folder import whole_file

READABLE = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
WRITABLE = (".nii.gz", ".nii", ".mha", ".nrrd")
_READERS = {".nii.gz": read_nifti, ".nii": read_nifti, ".mha": read_itk, ".mhd": read_itk, ".nrrd": read_itk}


def read_volume(path: str | os.PathLike[str]) -> MetaTensor:
    """Read one volume.

    Args:
        path: a NIfTI (``.nii``, ``.nii.gz``), MetaImage (``.mha``, ``.mhd``) or NRRD (``.nrrd``) file.

    Returns:
        Real values (scaling of the header applied), shape (1, X, Y, Z), float32, in the order in which they
        are stored. ``affine`` is the float64 map from voxel indices to RAS mm. ``meta`` holds
        ``filename_or_obj``, ``modality`` if the header states one, and for NIfTI the orientation fields that
        ``write_volume`` copies.

    Raises:
        UnreadableFileError: if the file is missing, truncated, damaged or not what its name says.
        GeometryError: if the affine means nothing.
        IntensityError: if values are NaN or infinite, or all equal.
        InputError: if it holds something other than one 3-D volume of numbers, or too few slices.
    """
    path = Path(path)
    size = check_is_file(path)
    reader = _READERS[_known_extension(path)]
    try:
        values, affine, meta = reader(path, size)
    except MemoryError as error:
        msg = f"{shown(path)} needs more memory than is free; crop or resample it"
        raise InputError(msg) from error
    check_affine(affine, shown(path), (values.shape[0], values.shape[1], values.shape[2]))
    tensor = torch.from_numpy(values).unsqueeze(0)
    return MetaTensor(tensor, affine=torch.from_numpy(affine), meta={"filename_or_obj": str(path), **meta})


def write_volume(volume: MetaTensor, path: str | os.PathLike[str]) -> None:
    """Write one volume, whole or not at all; a file of that name is replaced, missing folders are made.

    A NIfTI file has an affine bit-equal to that of the NIfTI file that ``volume.meta`` came from, as long as
    ``volume.affine`` is still the same. Any other affine is rounded to float32 (see ``medfuse.io.nifti``);
    MHA and NRRD keep it in decimal, to about 1e-15 of its size. The same volume gives the same bytes.

    Args:
        volume: (1, X, Y, Z). Integers keep their type (bool becomes uint8, int64 becomes int32); other
            numbers are written as float32.
        path: ends in ``.nii.gz``, ``.nii``, ``.mha`` or ``.nrrd``.

    Raises:
        InputError: if the volume has another shape, or integers beyond 32 bits.
        GeometryError: if its affine means nothing.
        OutputError: if the file cannot be written.
    """
    path = Path(path)
    array = _storable(_three_axes(volume, 1)[0])
    _write(array, volume, path, WRITABLE)


def write_color_volume(color: MetaTensor, path: str | os.PathLike[str]) -> None:
    """Write a color volume as NIfTI RGB24, whole or not at all, with the affine as in ``write_volume``.

    Args:
        color: (3, X, Y, Z) uint8: red, green, blue.
        path: ends in ``.nii.gz`` or ``.nii``.

    Raises:
        InputError: if the volume has another shape or type.
        GeometryError: if its affine means nothing.
        OutputError: if the file cannot be written.
    """
    channels = _three_axes(color, 3)
    if channels.dtype != np.uint8:
        msg = f"a color volume is uint8, this one is {channels.dtype}; scale it to 0 to 255 and convert it"
        raise InputError(msg)
    array = np.empty(channels.shape[1:], dtype=COLOR_DTYPE)
    for channel, name in zip(channels, "RGB", strict=True):
        array[name] = channel
    _write(array, color, Path(path), (".nii.gz", ".nii"))


def _known_extension(path: Path) -> str:
    """Return the extension that says how to read a file, or refuse the file."""
    for extension in READABLE:
        if path.name.lower().endswith(extension):
            return extension
    allowed = ", ".join(READABLE)
    msg = f"{shown(path)}: the extension is not one of {allowed}; convert the volume to one of these"
    raise UnreadableFileError(msg)


def _write(array: npt.NDArray[Any], volume: MetaTensor, path: Path, allowed: tuple[str, ...]) -> None:
    if not path.name.lower().endswith(allowed):
        msg = f"{shown(path)} cannot be written: the extension is not one of {', '.join(allowed)}"
        raise OutputError(msg)
    affine = _affine(volume)
    check_affine(affine, shown(path))
    with whole_file(path, overwrite=True) as temporary:
        if path.name.lower().endswith((".nii.gz", ".nii")):
            write_nifti(array, affine, volume.meta, temporary)
        else:
            write_itk(array, affine, temporary, shown(path))


def _affine(volume: MetaTensor) -> Matrix:
    return np.asarray(volume.affine.detach().cpu().numpy(), dtype=np.float64)


def _three_axes(volume: MetaTensor, channels: int) -> npt.NDArray[Any]:
    """Return the values as numpy, (channels, X, Y, Z), or refuse the shape."""
    if volume.ndim != 4 or volume.shape[0] != channels:
        msg = f"a volume to write has shape ({channels}, X, Y, Z), this one has {tuple(volume.shape)}"
        raise InputError(msg)
    return np.asarray(volume.detach().as_tensor().cpu().numpy())


def _storable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Choose a number type that every reader of the format knows."""
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype.itemsize > 4:
        narrow = array.astype(np.int32)
        if not np.array_equal(narrow, array):
            msg = "the volume holds integers beyond 32 bits; convert it to float32 before writing"
            raise InputError(msg)
        return narrow
    return array
