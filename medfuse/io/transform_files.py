"""Rigid and affine transforms as files: ITK's ``.tfm`` in LPS and plain text in RAS."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name its own documentation uses)

from medfuse.errors import InputError, OutputError, UnreadableFileError
from medfuse.geometry import Matrix, world_transform_to_lps
from medfuse.io.checks import check_is_file, shown
from medfuse.io.itk_formats import itk_name, last_line, quiet_itk
from medfuse.io.output_folder import whole_file

TRANSFORM_FILES = (".tfm", ".txt")
_TEXT_HEADER = "# 4 x 4 matrix, RAS mm: takes points of the fixed volume to points of the moving volume\n"
_TFM_MARK = b"#Insight Transform File V1"
_AFFINE_PARAMETERS = 12
_LAST_ROW_TO = 1e-9
_LARGEST_FILE = 2**16
_LARGEST_ENTRY = 1e6
_SMALLEST_DETERMINANT = 1e-6


def write_transform(matrix_ras: Matrix, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a transform as ``<stem>.tfm`` and ``<stem>.txt``, replacing files of these names.

    The ``.tfm`` is an ITK ``AffineTransform`` in LPS, which Slicer, ANTs and SimpleITK read and use to
    resample the moving volume onto the fixed one. The ``.txt`` is the matrix as given, with its convention on
    the first line.

    Args:
        matrix_ras: (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.
        stem: folder and name without an extension.

    Returns:
        The paths of the two files.

    Raises:
        InputError: if the matrix is not an invertible affine transform.
        OutputError: if a file cannot be written.
    """
    base = Path(stem)
    tfm, text = base.with_name(f"{base.name}.tfm"), base.with_name(f"{base.name}.txt")
    for path in (tfm, text):
        write_transform_file(matrix_ras, path, overwrite=True)
    return tfm, text


def write_transform_file(matrix_ras: Matrix, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a transform as one file, in the form that its extension names; see ``write_transform``.

    Args:
        matrix_ras: (4, 4), takes points of the fixed volume to points of the moving one, RAS mm.
        path: ends in ``.tfm`` or ``.txt``.
        overwrite: replace the file if it exists.

    Raises:
        InputError: if the matrix is not an invertible affine transform.
        OutputError: if the name has another extension, or the file cannot be written.
    """
    path = Path(path)
    matrix = check_transform(np.asarray(matrix_ras, dtype=np.float64), "the transform")
    kind = path.suffix
    if kind not in TRANSFORM_FILES:
        msg = f"{shown(path)}: a transform is written as .tfm or .txt; end the name in one of these"
        raise OutputError(msg)
    with whole_file(path, overwrite) as temporary:
        if kind == ".tfm":
            _write_tfm(matrix, temporary, shown(path))
        else:
            rows = "".join(" ".join(repr(float(value)) for value in row) + "\n" for row in matrix)
            temporary.write_text(_TEXT_HEADER + rows, encoding="utf-8")


def read_transform(path: str | os.PathLike[str]) -> Matrix:
    """Read a transform that ``write_transform`` or another ITK program wrote.

    Args:
        path: a ``.tfm`` file with one linear 3-D transform in LPS, or a ``.txt`` file with a 4 x 4 matrix in
            RAS.

    Returns:
        (4, 4) matrix in RAS mm.

    Raises:
        UnreadableFileError: if the file is missing, too large, or neither of the two.
        InputError: if it holds another kind of transform, or a matrix that cannot be inverted.
    """
    path = Path(path)
    name = shown(path)
    kind = path.suffix
    if kind not in TRANSFORM_FILES:
        msg = f"{name}: a transform file ends in .tfm or .txt, or is a DICOM registration object; give one of these"
        raise UnreadableFileError(msg)
    if check_is_file(path) > _LARGEST_FILE:
        msg = f"{name} is larger than {_LARGEST_FILE} bytes, too large for one linear transform; give another"
        raise UnreadableFileError(msg)
    return check_transform(_read_tfm(path, name) if kind == ".tfm" else _read_text(path, name), name)


def check_transform(matrix: Matrix, name: str) -> Matrix:
    """Refuse what is not an invertible affine transform of millimetres.

    Args:
        matrix: of any shape.
        name: what to call it in the message.

    Returns:
        The (4, 4) matrix, its last row exact.

    Raises:
        InputError: if it is not finite, does not end in 0 0 0 1, is singular, or moves points absurdly far.
    """
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or np.abs(matrix[3] - (0, 0, 0, 1)).max() > _LAST_ROW_TO:
        msg = f"{name} is not a finite 4 x 4 matrix ending in 0 0 0 1; write it again"
        raise InputError(msg)
    if np.abs(matrix).max() > _LARGEST_ENTRY or abs(np.linalg.det(matrix[:3, :3])) < _SMALLEST_DETERMINANT:
        msg = f"{name} holds a matrix that cannot be inverted or moves points absurdly far; register again"
        raise InputError(msg)
    return _with_last_row(matrix)


def invert_transform(matrix: Matrix) -> Matrix:
    """Return the inverse of a (4, 4) affine transform, its last row exact."""
    return _with_last_row(np.asarray(np.linalg.inv(matrix), dtype=np.float64))


def _with_last_row(matrix: Matrix) -> Matrix:
    exact = np.array(matrix, dtype=np.float64)
    exact[3] = (0.0, 0.0, 0.0, 1.0)
    return exact


def _write_tfm(matrix_ras: Matrix, path: Path, name: str) -> None:
    lps = world_transform_to_lps(matrix_ras)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    try:
        with quiet_itk():
            sitk.WriteTransform(transform, itk_name(path))
        complete = np.array_equal(_linear(sitk.ReadTransform(itk_name(path)), name), lps)
    except (RuntimeError, UnicodeError) as error:
        msg = f"{name} was not written ({last_line(error)}); check free space and permissions"
        raise OutputError(msg) from error
    if not complete:
        msg = f"{name} was not written completely; free some space or choose another disk"
        raise OutputError(msg)


def _read_tfm(path: Path, name: str) -> Matrix:
    content = path.read_bytes()
    if not content.startswith(_TFM_MARK):
        msg = f"{name} is not an ITK transform file, as its name says; check the file"
        raise UnreadableFileError(msg)
    try:
        _check_complete(content)
        with quiet_itk():
            transform = sitk.ReadTransform(itk_name(path))
    except (RuntimeError, ValueError) as error:
        msg = f"{name} is a damaged transform file ({last_line(error)}); write it again"
        raise UnreadableFileError(msg) from error
    if isinstance(transform, sitk.AffineTransform) and len(transform.GetParameters()) != _AFFINE_PARAMETERS:
        msg = f"{name} is a damaged transform file (too many parameters); write it again"
        raise UnreadableFileError(msg)
    return world_transform_to_lps(_linear(transform, name))


def _check_complete(content: bytes) -> None:
    """Refuse a file that holds anything but one transform: ITK takes one that ends early for the identity.

    Raises:
        ValueError: if a line is missing or doubled.
    """
    lines = (line for line in content.decode("ascii").splitlines() if line.strip() and line[0] != "#")
    if [line.partition(":")[0] for line in lines] != ["Transform", "Parameters", "FixedParameters"]:
        msg = "it should hold one Transform with Parameters and FixedParameters"
        raise ValueError(msg)


def _linear(transform: sitk.Transform, name: str) -> Matrix:
    """Return the (4, 4) LPS matrix of a linear 3-D transform: where it takes the origin and the axes."""
    if transform.GetDimension() != 3 or not transform.IsLinear():
        msg = f"{name} is not a linear transform in three dimensions; give a rigid or affine one"
        raise InputError(msg)
    if isinstance(transform, sitk.AffineTransform) and not any(transform.GetCenter()):
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
        matrix[:3, 3] = transform.GetTranslation()
        return matrix
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    for axis, point in enumerate(np.eye(3).tolist()):
        matrix[:3, axis] = np.array(transform.TransformVector(point, (0.0, 0.0, 0.0)))
    return matrix


def _read_text(path: Path, name: str) -> Matrix:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line and not line.startswith("#")]
        return np.array(rows, dtype=np.float64)
    except (ValueError, OSError) as error:
        msg = f"{name} is not a text file of 4 rows of 4 numbers; check the file"
        raise UnreadableFileError(msg) from error
