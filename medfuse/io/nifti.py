"""NIfTI-1 and NIfTI-2 in one file: stored values, and an orientation that is written back bit for bit.

A NIfTI header states its orientation up to three times (qform, sform, voxel sizes), mostly in float32, and a
reader computes the affine from them. An affine is therefore not written anew where the volume still has the
one it was read with: the header's own fields are copied.
"""

from __future__ import annotations

import gzip
import json
import logging
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from medfuse.errors import InputError, UnreadableFileError
from medfuse.geometry import Matrix, corners_mm, directions, spacing_mm
from medfuse.io.checks import shown, spatial_shape, to_float32, unusable_orientation

log = logging.getLogger(__name__)
_repairs = logging.Logger("repairs", logging.CRITICAL)  # what is repaired silently, readers repair alike

ORIENTATION_KEY = "nifti_orientation"
DESCRIPTION_KEY = "description"
COLOR_DTYPE = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])

Header: TypeAlias = Any  # a nibabel Nifti1Header or Nifti2Header; nibabel is not typed
Array: TypeAlias = npt.NDArray[Any]

_ORIENTATION_FIELDS = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z", "pixdim"),
)
_FOREIGN_UNITS = {1: "meters", 3: "microns"}
_GZIP_MAGIC = b"\x1f\x8b"
_HIGHEST_DEFLATE_RATIO = 1032
_FARTHEST_VOXELS = 2**28
_COMPRESSION_LEVEL = 4
_FORMS_APART_MM = 0.1
_LONGEST_DESCRIPTION = 79  # bytes, and a zero


def read_nifti(path: Path, file_size: int) -> tuple[npt.NDArray[np.float32], Matrix, dict[str, object]]:
    """Read the values, the affine and the header's orientation fields of a ``.nii`` or ``.nii.gz`` file.

    Args:
        path: the file.
        file_size: its size in bytes.

    Returns:
        Values (X, Y, Z) float32, scaled by the header's slope and intercept; the affine in RAS mm, as nibabel
        computes it; and the metadata that ``write_nifti`` needs to write the same affine.

    Raises:
        UnreadableFileError: if the file is truncated, damaged, or not NIfTI.
        InputError: if it holds something other than one volume of numbers.
    """
    name = shown(path)
    try:
        with _opened(path) as stream:
            header = _read_header(stream, name)
            shape = spatial_shape(_declared_shape(header, name), name)
            _check_size(header, shape, name, file_size, packed=path.suffix.lower() == ".gz")
            raw = _read_values(stream, header, shape, name)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{name} is truncated or damaged ({error}); copy or download it again"
        raise UnreadableFileError(msg) from error
    except OSError as error:
        msg = f"{name} cannot be read ({error.strerror or error}); check the disk it lies on"
        raise UnreadableFileError(msg) from error
    affine = _affine(header, shape, name)
    slope, intercept = _scaling(header, name)
    return to_float32(raw, slope, intercept, name), affine, {ORIENTATION_KEY: _pack_orientation(header)}


def write_nifti(array: Array, affine: Matrix, meta: Mapping[str, Any], path: Path) -> None:
    """Write a volume (X, Y, Z); the same arguments give the same bytes.

    Where ``meta`` carries the orientation fields of a NIfTI file and they still describe ``affine``, they are
    copied and the affine read back is bit-equal. Otherwise qform and sform both state the affine (the sform
    alone if the axes are not at right angles), rounded to float32: within 1e-4 mm where the origin is near.

    Args:
        array: numbers, or ``COLOR_DTYPE`` for RGB24.
        affine: (4, 4) index-to-RAS affine.
        meta: metadata of the volume; ``"description"`` is written into the header, at most 79 characters.
        path: a ``.nii`` or ``.nii.gz`` file.
    """
    header = _carried_header(array, affine, meta)
    if header is None:
        header = _fresh_header(array, affine)
    header["descrip"] = str(meta.get(DESCRIPTION_KEY, "")).encode("ascii", "replace")[:_LONGEST_DESCRIPTION]
    with path.open("wb") as file:
        if path.suffix.lower() == ".gz":
            with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, file, mtime=0) as packed:
                _write_to(cast(BinaryIO, packed), header, array)
        else:
            _write_to(file, header, array)


def _opened(path: Path) -> BinaryIO:
    """Open a file whose content agrees with its name."""
    with path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP_MAGIC
    if path.suffix.lower() == ".gz":
        if not is_gzip:
            msg = f"{shown(path)} is not gzip, as its name says; download it again, or name plain NIfTI .nii"
            raise UnreadableFileError(msg)
        return cast(BinaryIO, gzip.open(path, "rb"))
    if is_gzip:
        msg = f"{shown(path)} is compressed by gzip, against its name; rename it .nii.gz"
        raise UnreadableFileError(msg)
    return path.open("rb")


def _read_header(stream: BinaryIO, name: str) -> Header:
    """Read and check the fixed part of the header."""
    start = stream.read(nib.Nifti2Header.sizeof_hdr)
    for kind, magic in ((nib.Nifti1Header, slice(344, 348)), (nib.Nifti2Header, slice(4, 8))):
        if start[magic] in (b"n+1\0", b"n+2\0") and len(start) >= kind.sizeof_hdr:
            break
    else:
        msg = f"{name} is not NIfTI (its header lacks the mark n+1 or n+2); convert it to .nii.gz"
        raise UnreadableFileError(msg)
    try:
        header = kind(start[: kind.sizeof_hdr], check=False)
        header.check_fix(logger=_repairs)
    except (HeaderDataError, ValueError, KeyError) as error:
        msg = f"{name}: the NIfTI header is damaged ({error}); convert the file again"
        raise UnreadableFileError(msg) from error
    return header


def _declared_shape(header: Header, name: str) -> tuple[int, ...]:
    """Return the declared shape, refusing values that are no plain numbers and lengths not in millimetres."""
    try:
        kind, shape = header.get_data_dtype(), tuple(int(n) for n in header.get_data_shape())
    except (HeaderDataError, ValueError, KeyError) as error:
        msg = f"{name}: the NIfTI header is damaged ({error}); convert the file again"
        raise UnreadableFileError(msg) from error
    if kind.fields is not None or kind.kind not in "iuf":
        what = "RGB colors" if kind.fields is not None else f"values of type {kind}"
        msg = f"{name} holds {what}; give a volume of plain numbers"
        raise InputError(msg)
    unit = _FOREIGN_UNITS.get(int(header["xyzt_units"]) & 7)
    if unit is not None:
        msg = f"{name}: the header counts in {unit}, not millimetres; rewrite the header in mm"
        raise InputError(msg)
    return shape


def _check_size(header: Header, shape: tuple[int, int, int], name: str, file_size: int, packed: bool) -> None:
    """Refuse a header that declares more than its file can hold, before memory is asked for."""
    offset = float(header["vox_offset"])
    if not 0 <= offset <= _FARTHEST_VOXELS:
        msg = f"{name}: the header puts the voxels at byte {offset:g}; convert the file again"
        raise UnreadableFileError(msg)
    start, needed = _extent(header, shape)
    if start + needed > file_size * (_HIGHEST_DEFLATE_RATIO if packed else 1):
        msg = (
            f"{name} is truncated: the header declares {needed} bytes of voxels, the file has {file_size}; "
            "copy or download it again"
        )
        raise UnreadableFileError(msg)


def _extent(header: Header, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return where the voxels start and how many bytes they take."""
    start = int(header.get_data_offset()) or int(header.single_vox_offset)
    return start, math.prod(shape) * int(header.get_data_dtype().itemsize)


def _read_values(stream: BinaryIO, header: Header, shape: tuple[int, int, int], name: str) -> Array:
    """Read the stored values, (X, Y, Z)."""
    start, needed = _extent(header, shape)
    stream.seek(start)
    data = stream.read(needed)
    if len(data) < needed:
        msg = f"{name} is truncated: {len(data)} of {needed} bytes of voxels are there; copy it again"
        raise UnreadableFileError(msg)
    while stream.read(2**20):  # to the end, where gzip keeps its checksum
        pass
    return np.frombuffer(data, dtype=header.get_data_dtype()).reshape(shape, order="F")


def _scaling(header: Header, name: str) -> tuple[float, float]:
    """Return slope and intercept; a slope of zero or NaN means none."""
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError as error:
        msg = f"{name}: the header's intensity scaling is unusable ({error}); rewrite scl_slope and scl_inter"
        raise UnreadableFileError(msg) from error
    return (1.0 if slope is None else float(slope)), (0.0 if intercept is None else float(intercept))


def _affine(header: Header, shape: tuple[int, int, int], name: str) -> Matrix:
    """Return the affine that nibabel, and most readers, use; say so where the header leaves doubts."""
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    try:
        affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (ValueError, np.linalg.LinAlgError, HeaderDataError) as error:
        raise unusable_orientation(name) from error
    if sform == 0 and qform == 0:
        log.warning("%s has no orientation in its header: left and right are a guess", Path(name).name)
    elif sform > 0 and qform > 0 and np.isfinite(affine).all():
        _compare_forms(header, affine, shape, name)
    return affine


def _compare_forms(header: Header, affine: Matrix, shape: tuple[int, int, int], name: str) -> None:
    """Warn where the two orientations of one header contradict each other."""
    try:
        apart = float(np.abs(corners_mm(affine, shape) - corners_mm(header.get_qform(), shape)).max())
    except (ValueError, np.linalg.LinAlgError):
        return
    if not apart <= _FORMS_APART_MM:
        log.warning("%s: qform and sform differ by %.3g mm; the sform is used", Path(name).name, apart)


def _pack_orientation(header: Header) -> str:
    """Write the orientation fields as JSON text: metadata that survives pickling and batching unchanged."""
    fields: dict[str, object] = {key: np.asarray(header[key]).tolist() for key in _ORIENTATION_FIELDS}
    fields["version"] = 2 if header.sizeof_hdr == nib.Nifti2Header.sizeof_hdr else 1
    return json.dumps(fields)


def _carried_header(array: Array, affine: Matrix, meta: Mapping[str, Any]) -> Header | None:
    """Build a header from the carried fields, if there are any and they still give the volume's affine."""
    packed = meta.get(ORIENTATION_KEY)
    if not isinstance(packed, str):
        return None
    try:
        fields = json.loads(packed)
        header = _plain_header(array, nib.Nifti2Header if fields["version"] == 2 else nib.Nifti1Header)
        for key in _ORIENTATION_FIELDS:
            header[key] = fields[key]
        header["pixdim"][4:] = 0.0
        same = np.array_equal(header.get_best_affine(), affine)
    except (ArithmeticError, ValueError, KeyError, TypeError, np.linalg.LinAlgError, HeaderDataError):
        return None
    return header if same else None


def _fresh_header(array: Array, affine: Matrix) -> Header:
    """State an affine anew, in both forms where the qform can express it."""
    header = _plain_header(array, nib.Nifti1Header if max(array.shape) < 2**15 else nib.Nifti2Header)
    axes = directions(affine)
    header.set_zooms(spacing_mm(affine)[: array.ndim])
    if np.allclose(axes.T @ axes, np.eye(3), atol=1e-6):
        header.set_qform(affine, code="scanner")
    header.set_sform(affine, code="scanner")
    return header


def _plain_header(array: Array, kind: type[Header]) -> Header:
    header = kind(endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    return header


def _write_to(stream: BinaryIO, header: Header, array: Array) -> None:
    header.write_to(stream)
    little = array.dtype.newbyteorder("<")
    for z in range(array.shape[2]):
        stream.write(array[:, :, z].astype(little, copy=False).tobytes(order="F"))
