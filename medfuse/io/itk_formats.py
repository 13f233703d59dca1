"""MHA, MHD and NRRD by way of SimpleITK, with its LPS world turned to RAS at the border."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813  (the name its own documentation uses)

from medfuse.errors import InputError, OutputError, UnreadableFileError
from medfuse.geometry import Matrix, lps_to_ras, ras_to_lps, spacing_mm
from medfuse.io.checks import shown, spatial_shape, to_float32, unusable_orientation
from medfuse.io.itk_header import check_packed, read_text_header

_ORIENTATION_COMPLAINTS = (
    "determinant is 0. Refusing",
    "Zero-valued spacing",
    "[nrrd] _nrrdSpaceVectorParse",
)
_stderr_lock = threading.Lock()


def read_itk(path: Path, file_size: int) -> tuple[npt.NDArray[np.float32], Matrix, dict[str, object]]:
    """Read values, affine and metadata of an ``.mha``, ``.mhd`` or ``.nrrd`` file.

    Args:
        path: the file.
        file_size: its size in bytes.

    Returns:
        Values (X, Y, Z) float32; the affine in RAS mm; and metadata (``modality`` if a MetaImage states one).

    Raises:
        UnreadableFileError: if the file is truncated, damaged, or not what its name says.
        InputError: if it holds something other than one volume of numbers.
        GeometryError: if its orientation cannot be used.
    """
    name = shown(path)
    header = read_text_header(path, file_size)
    shape = spatial_shape(header.shape, name)
    header.check_size(name)
    check_packed(header, name)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() == ".nrrd" else "MetaImageIO")
    try:
        with quiet_itk():
            reader.SetFileName(itk_name(path))
            image = reader.Execute()
    except (RuntimeError, UnicodeError) as error:
        raise _explained(error, name) from error
    if image.GetNumberOfComponentsPerPixel() != 1 or "complex" in image.GetPixelIDTypeAsString():
        msg = f"{name} holds vectors, colors or complex numbers; give a volume of plain numbers"
        raise InputError(msg)
    raw = sitk.GetArrayViewFromImage(image).T.reshape(shape, order="F")
    return to_float32(raw, 1.0, 0.0, name), _affine_ras(image), header.meta


def write_itk(array: npt.NDArray[Any], affine: Matrix, path: Path, name: str) -> None:
    """Write a volume (X, Y, Z) as compressed MHA or NRRD, and compare what the disk holds with it.

    Args:
        array: the values.
        affine: (4, 4) index-to-RAS affine.
        path: where to write.
        name: what to call the file in a message.

    Raises:
        OutputError: if writing fails.
    """
    lps = ras_to_lps(affine)
    spacing = spacing_mm(lps)
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    try:
        with quiet_itk():
            image.SetSpacing(spacing.tolist())
            image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
            image.SetOrigin(lps[:3, 3].tolist())
            sitk.WriteImage(image, itk_name(path), useCompression=True)
            stored = sitk.GetArrayFromImage(sitk.ReadImage(itk_name(path))).T
    except (RuntimeError, UnicodeError) as error:
        msg = f"{name} was not written ({last_line(error)}); check free space, or write .nii.gz"
        raise OutputError(msg) from error
    if not np.array_equal(stored, array, equal_nan=array.dtype.kind == "f"):
        msg = f"{name} was not written completely; free some space or choose another disk"
        raise OutputError(msg)


def _affine_ras(image: sitk.Image) -> Matrix:
    """Return the index-to-RAS affine of the first three axes."""
    dim = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(dim, dim)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return lps_to_ras(affine)


def _explained(error: Exception, name: str) -> InputError:
    """Turn SimpleITK's complaint into one line."""
    if any(complaint in str(error) for complaint in _ORIENTATION_COMPLAINTS):
        return unusable_orientation(name)
    if isinstance(error, UnicodeError):
        return UnreadableFileError(f"{name}: this name cannot be read; use plain letters")
    return UnreadableFileError(f"{name} is truncated or damaged ({last_line(error)}); copy or download it again")


def itk_name(path: Path) -> str:
    """Return a path as SimpleITK takes it; names that are not UTF-8 would end the process.

    Raises:
        UnicodeError: if the name is one of these.
    """
    name = os.fspath(path)
    name.encode("utf-8")
    return name


def last_line(error: Exception) -> str:
    """Return the last line of ITK's complaint, which is the one that gives the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "".join(c for c in (lines[-1] if lines else "unknown reason") if c.isprintable())


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Keep what ITK's C++ readers print to the process's error stream from the user; errors still raise."""
    with _stderr_lock:
        try:
            kept = os.dup(2)
        except OSError:  # a process without an error stream has nothing to keep clean
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(sink)
            os.close(kept)
