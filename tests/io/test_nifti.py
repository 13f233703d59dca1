from __future__ import annotations

import gzip
import logging
import struct
from contextlib import suppress

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medfuse.errors import GeometryError, InputError, MedfuseError, UnreadableFileError
from medfuse.io.nifti import ORIENTATION_KEY
from medfuse.io.volume_files import read_volume, write_volume

SHAPE = (6, 7, 8)
VALUES = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * (0.7, 1.1, 3.3)
AFFINE[:3, 3] = (-31.7, 12.3, 45.6)
SHEARED = AFFINE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def save(path, affine=AFFINE, values=VALUES, qform=1, sform=1, kind=nib.Nifti1Image, endian="<"):
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(values.dtype.newbyteorder(endian))
    image = kind(values, None, header)
    image.header.set_qform(affine, code=qform)
    image.header.set_sform(affine, code=sform)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def patched(path, *edits):
    """Overwrite fields of a saved header: (byte offset, struct format, values...)."""
    content = bytearray(path.read_bytes())
    for offset, form, *new in edits:
        struct.pack_into(f"<{form}", content, offset, *new)
    path.write_bytes(content)
    return path


def refused(path, error, *words):
    with pytest.raises(error) as caught:
        read_volume(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (1, 0), (0, 1), (4, 2), (0, 0)])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_written_affine_is_bit_equal(tmp_path, kind, endian, qform, sform, extension):
    source = save(tmp_path / f"in{extension}", qform=qform, sform=sform, kind=kind, endian=endian)
    read = read_volume(source)
    original = nib.load(source)
    assert read.affine.numpy().tobytes() == original.affine.tobytes()
    np.testing.assert_array_equal(read[0].numpy(), VALUES)
    write_volume(read, tmp_path / "out.nii.gz")
    out = nib.load(tmp_path / "out.nii.gz")
    assert out.affine.tobytes() == original.affine.tobytes()
    assert (int(out.header["qform_code"]), int(out.header["sform_code"])) == (qform, sform)
    np.testing.assert_array_equal(np.asarray(out.dataobj), VALUES)


def test_reversed_axes_are_bit_equal_too(tmp_path):
    for flip in ((-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)):
        mirrored = AFFINE @ np.diag([*flip, 1])
        source = save(tmp_path / "in.nii", mirrored, sform=0)
        write_volume(read_volume(source), tmp_path / "out.nii")
        out = nib.load(tmp_path / "out.nii").affine
        assert out.tobytes() == nib.load(source).affine.tobytes()
        assert np.sign(np.linalg.det(out)) == np.prod(flip)


def test_fresh_affine_is_stated_in_both_forms_unless_sheared(tmp_path):
    for affine, qform_code in ((AFFINE, 1), (SHEARED, 0)):
        write_volume(MetaTensor(torch.from_numpy(VALUES[None]), affine=torch.from_numpy(affine)), tmp_path / "x.nii")
        header = nib.load(tmp_path / "x.nii").header
        np.testing.assert_allclose(header.get_sform(), affine, atol=1e-5)
        assert int(header["qform_code"]) == qform_code
        assert int(header["sform_code"]) == 1
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        np.testing.assert_allclose(header.get_zooms(), spacing, rtol=1e-6)
        if qform_code:
            np.testing.assert_allclose(header.get_qform(), affine, atol=1e-5)


def test_an_axis_too_long_for_nifti_1_is_written_as_nifti_2(tmp_path):
    long = torch.arange(4 * 4 * 40000, dtype=torch.float32).reshape(1, 4, 4, 40000)
    write_volume(MetaTensor(long, affine=torch.diag(torch.tensor([1.0, 1, 0.1, 1]))), tmp_path / "x.nii")
    assert isinstance(nib.load(tmp_path / "x.nii"), nib.Nifti2Image)
    assert torch.equal(read_volume(tmp_path / "x.nii").as_tensor(), long)


@pytest.mark.parametrize("carried", ["", "{}", "[1]", "nonsense", '{"version": 1, "qform_code": 99999}', 5])
def test_broken_carried_orientation_falls_back_to_the_affine(tmp_path, carried):
    meta = {ORIENTATION_KEY: carried}
    tensor = MetaTensor(torch.from_numpy(VALUES[None]), affine=torch.from_numpy(AFFINE), meta=meta)
    write_volume(tensor, tmp_path / "x.nii")
    np.testing.assert_allclose(nib.load(tmp_path / "x.nii").affine, AFFINE, atol=1e-5)


def test_only_orientation_is_carried(tmp_path):
    """A header's free text may name the patient: none of it goes on."""
    source = patched(save(tmp_path / "in.nii"), (148, "20s", b"DOE^JOHN"), (228, "20s", b"SECRET"))
    read = read_volume(source)
    assert "DOE" not in str(read.meta)
    write_volume(read, tmp_path / "out.nii")
    content = (tmp_path / "out.nii").read_bytes()
    assert b"DOE" not in content
    assert b"SECRET" not in content


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<u2", "<i4", "<u4", "<f4", ">f8"])
def test_number_types(tmp_path, dtype):
    values = (np.arange(np.prod(SHAPE)) % 120).reshape(SHAPE).astype(dtype)
    source = save(tmp_path / "x.nii.gz", values=values, endian=">" if dtype[0] == ">" else "<")
    np.testing.assert_array_equal(read_volume(source)[0].numpy(), values.astype(np.float32))


def test_scaling_is_applied_in_double_precision_and_rounded_once(tmp_path):
    values = np.random.default_rng(0).integers(-3000, 3000, SHAPE).astype(np.int16)
    source = patched(save(tmp_path / "x.nii", values=values), (112, "ff", 0.1, -1024.0))
    expected = (values.astype(np.float64) * float(np.float32(0.1)) - 1024.0).astype(np.float32)
    np.testing.assert_array_equal(read_volume(source)[0].numpy(), expected)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_no_slope_means_no_scaling(tmp_path, slope):
    source = patched(save(tmp_path / "x.nii"), (112, "ff", slope, 5.0))
    np.testing.assert_array_equal(read_volume(source)[0].numpy(), VALUES)


def test_unusable_scaling(tmp_path):
    source = patched(save(tmp_path / "x.nii"), (112, "ff", 1.0, np.nan))
    refused(source, UnreadableFileError, "scl_inter")


def test_one_time_point_is_a_volume_and_more_are_not(tmp_path):
    read = read_volume(save(tmp_path / "one.nii.gz", values=VALUES[..., None]))
    assert read.shape == (1, *SHAPE)
    refused(save(tmp_path / "two.nii.gz", values=np.stack([VALUES] * 2, -1)), InputError, "4 dimensions", "x 2")
    vectors = np.stack([VALUES] * 3, -1)[:, :, :, None]
    refused(save(tmp_path / "vectors.nii.gz", values=vectors), InputError, "5 dimensions")


def test_complex_and_rgb(tmp_path):
    refused(save(tmp_path / "c.nii", values=VALUES.astype(np.complex64)), InputError, "complex")
    rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(save(tmp_path / "rgb.nii", values=rgb), InputError, "RGB")


def test_single_slice(tmp_path):
    refused(save(tmp_path / "x.nii", values=VALUES[:, :, 0]), InputError, "at least 4 slices")
    refused(save(tmp_path / "y.nii", values=VALUES[:, :, :1]), InputError, "at least 4 slices")


def test_gzip_against_the_name(tmp_path):
    source = save(tmp_path / "x.nii")
    (tmp_path / "y.nii.gz").write_bytes(source.read_bytes())
    refused(tmp_path / "y.nii.gz", UnreadableFileError, "not gzip")
    (tmp_path / "z.nii").write_bytes(gzip.compress(source.read_bytes()))
    refused(tmp_path / "z.nii", UnreadableFileError, "rename it .nii.gz")


def test_two_file_nifti_and_analyze_are_refused(tmp_path):
    refused(patched(save(tmp_path / "x.nii"), (344, "4s", b"ni1\0")), UnreadableFileError, "not NIfTI")
    refused(patched(save(tmp_path / "x.nii"), (344, "4s", b"\0\0\0\0")), UnreadableFileError, "not NIfTI")


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dims", [(1290, 1290, 1290), (30000, 30000, 2), (32767, 32767, 32767)])
def test_gigavoxels_in_a_small_file_are_refused_before_memory_is_asked_for(tmp_path, extension, dims, monkeypatch):
    path = patched(save(tmp_path / "x.nii"), (42, "hhh", *dims))
    if extension == ".nii.gz":
        path = tmp_path / "x.nii.gz"
        path.write_bytes(gzip.compress((tmp_path / "x.nii").read_bytes()))

    def no_memory(*_args, **_kwargs):
        pytest.fail("memory was asked for")

    monkeypatch.setattr("medfuse.io.nifti._read_values", no_memory)
    refused(path, InputError)


@pytest.mark.parametrize("dims", [(0, 7, 8), (-6, 7, 8)])
def test_empty(tmp_path, dims):
    refused(patched(save(tmp_path / "x.nii"), (42, "hhh", *dims)), InputError, "empty")


@pytest.mark.parametrize("offset", [-5.0, 100.0, 1e30, np.nan, np.inf])
def test_voxels_outside_the_file(tmp_path, offset):
    refused(patched(save(tmp_path / "x.nii"), (108, "f", offset)), UnreadableFileError)


@pytest.mark.parametrize("code", [0, 1, 511, 1536, 2048, 999])
def test_unknown_number_types(tmp_path, code):
    refused(patched(save(tmp_path / "x.nii"), (70, "h", code)), UnreadableFileError, "damaged")


@pytest.mark.parametrize(("unit", "word"), [(1, "meters"), (3, "microns")])
def test_other_units_than_millimetres(tmp_path, unit, word):
    refused(patched(save(tmp_path / "x.nii"), (123, "B", unit)), InputError, word)


@pytest.mark.parametrize("unit", [0, 2, 7, 10])
def test_millimetres_and_unstated_units(tmp_path, unit):
    read_volume(patched(save(tmp_path / "x.nii"), (123, "B", unit)))


SFORM = 280
BAD_AFFINES = {
    "nan": [(SFORM, "f", np.nan)],
    "infinite": [(SFORM + 12, "f", np.inf)],
    "singular": [
        (SFORM, "ffff", 1, 1, 0, 0),
        (SFORM + 16, "ffff", 0, 0, 0, 0),
        (SFORM + 32, "ffff", 0, 0, 1, 0),
    ],
    "zero": [(SFORM, "12f", *[0.0] * 12)],
    "far": [(SFORM + 12, "f", 1e8)],
    "huge": [(SFORM, "f", 1e5)],
    "in meters": [(SFORM, "12f", *(np.eye(3, 4) * 0.001).ravel())],
    "quaternion": [(252, "hh", 1, 0), (256, "fff", 2, 2, 2)],
    "spacing": [(252, "hh", 1, 0), (80, "f", np.nan)],
}


@pytest.mark.parametrize("edits", BAD_AFFINES.values(), ids=BAD_AFFINES.keys())
def test_unusable_affines(tmp_path, edits):
    refused(patched(save(tmp_path / "x.nii"), *edits), GeometryError, "x.nii")


def test_no_orientation_is_said(tmp_path, caplog):
    read = read_volume(save(tmp_path / "x.nii", qform=0, sform=0))
    assert "no orientation" in caplog.text
    np.testing.assert_array_equal(read.affine.numpy(), nib.load(tmp_path / "x.nii").affine)


def test_disagreeing_forms_are_said_and_the_sform_counts(tmp_path, caplog):
    source = patched(save(tmp_path / "x.nii"), (268, "f", 99.0))
    assert read_volume(source).affine[0, 3] == np.float32(AFFINE[0, 3])
    assert "differ by 131 mm" in caplog.text


def test_agreeing_forms_are_not_said(tmp_path, caplog):
    read_volume(save(tmp_path / "x.nii"))
    assert not caplog.records


@pytest.mark.parametrize("seed", range(4))
def test_random_headers_are_read_or_refused_and_never_crash(tmp_path, seed, caplog):
    caplog.set_level(logging.CRITICAL)
    rng = np.random.default_rng(seed)
    content = save(tmp_path / "x.nii").read_bytes()
    for _ in range(40):
        damaged = bytearray(content)
        for position in rng.integers(0, 352, 3):
            damaged[position] = rng.integers(0, 256)
        (tmp_path / "x.nii").write_bytes(damaged)
        with suppress(MedfuseError):
            assert read_volume(tmp_path / "x.nii").ndim == 4
