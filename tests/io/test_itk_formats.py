from __future__ import annotations

import zlib

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from medfuse.errors import GeometryError, InputError, UnreadableFileError
from medfuse.io.volume_files import read_volume

VALUES = np.random.default_rng(2).normal(size=(6, 7, 8)).astype(np.float32)  # (Z, Y, X), as on the disk
RAW = VALUES.tobytes()
META = {
    **{"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False"},
    **{"CompressedData": "False", "TransformMatrix": "0 -1 0 1 0 0 0 0 1", "Offset": "1 2 3"},
    **{"ElementSpacing": "1 2 3", "DimSize": "8 7 6", "ElementType": "MET_FLOAT", "ElementDataFile": "LOCAL"},
}
NRRD = {
    **{"type": "float", "dimension": "3", "space": "left-posterior-superior", "sizes": "8 7 6"},
    **{"space directions": "(0,-1,0) (2,0,0) (0,0,3)", "kinds": "domain domain domain", "endian": "little"},
    **{"encoding": "raw", "space origin": "(1,2,3)"},
}
AFFINE = np.array([[0.0, -2, 0, -1], [1, 0, 0, -2], [0, 0, 3, 3], [0, 0, 0, 1]])


def meta_image(path, data=RAW, **changes):
    fields = {**META, **changes}
    data_file = fields.pop("ElementDataFile")
    lines = [f"{key} = {value}" for key, value in fields.items() if value is not None]
    path.write_bytes("\n".join([*lines, f"ElementDataFile = {data_file}\n"]).encode() + data)
    return path


def nrrd(path, data=RAW, **changes):
    fields = {**NRRD, **{key.replace("_", " "): value for key, value in changes.items()}}
    lines = [f"{key}: {value}" for key, value in fields.items() if value is not None]
    path.write_bytes("\n".join(["NRRD0004", "# comment", *lines, "", ""]).encode() + data)
    return path


def refused(path, error, *words):
    with pytest.raises(error) as caught:
        read_volume(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(("write", "name"), [(meta_image, "x.mha"), (nrrd, "x.nrrd")])
def test_values_and_world(tmp_path, write, name):
    read = read_volume(write(tmp_path / name))
    np.testing.assert_array_equal(read[0].numpy(), VALUES.T)
    np.testing.assert_array_equal(read.affine.numpy(), AFFINE)


def test_data_file_beside_an_mhd(tmp_path):
    (tmp_path / "voxels.raw").write_bytes(RAW)
    read = read_volume(meta_image(tmp_path / "x.mhd", b"", ElementDataFile="voxels.raw"))
    np.testing.assert_array_equal(read[0].numpy(), VALUES.T)
    (tmp_path / "voxels.zraw").write_bytes(zlib.compress(RAW))
    packed = meta_image(tmp_path / "y.mhd", b"", ElementDataFile="voxels.zraw", CompressedData="True")
    np.testing.assert_array_equal(read_volume(packed)[0].numpy(), VALUES.T)


@pytest.mark.parametrize("name", ["../voxels.raw", "/etc/passwd", "sub/voxels.raw", "..\\v.raw", "", ".", ".."])
def test_data_file_elsewhere_is_refused(tmp_path, name):
    refused(meta_image(tmp_path / "x.mhd", b"", ElementDataFile=name), UnreadableFileError, "outside")


@pytest.mark.parametrize("name", ["LIST\na.raw\nb.raw", "v%03d.raw 1 6 1"])
def test_several_data_files_are_refused(tmp_path, name):
    refused(meta_image(tmp_path / "x.mhd", b"", ElementDataFile=name), UnreadableFileError, "several")


def test_missing_or_short_data_file(tmp_path):
    path = meta_image(tmp_path / "x.mhd", b"", ElementDataFile="voxels.raw")
    refused(path, UnreadableFileError, "voxels.raw", "does not exist")
    (tmp_path / "voxels.raw").write_bytes(RAW[:-1])
    refused(path, UnreadableFileError, "x.mhd", "truncated")


def test_detached_nrrd_is_refused(tmp_path):
    refused(nrrd(tmp_path / "x.nrrd", data_file="/etc/passwd"), UnreadableFileError, "another file")


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1)),
        ("LPS", (-1, -1)),
        ("right-anterior-superior", (1, 1)),
        ("left-anterior-superior", (-1, 1)),
    ],
)
def test_spaces_of_nrrd(tmp_path, space, signs, caplog):
    read = read_volume(nrrd(tmp_path / "x.nrrd", space=space))
    np.testing.assert_array_equal(read.affine[:3, 3].numpy(), np.array([1.0, 2, 3]) * (*signs, 1))
    assert not caplog.records


def test_no_orientation_is_said(tmp_path, caplog):
    read_volume(nrrd(tmp_path / "x.nrrd", space="scanner-xyz"))
    read_volume(meta_image(tmp_path / "x.mha", TransformMatrix=None, Offset=None))
    assert caplog.text.count("no orientation") == 2


@pytest.mark.parametrize(("code", "modality"), [("MET_MOD_CT", "CT"), ("MET_MOD_MR", "MR"), ("MET_MOD_OTHER", None)])
def test_modality_of_a_meta_image(tmp_path, code, modality):
    assert read_volume(meta_image(tmp_path / "x.mha", Modality=code)).meta.get("modality") == modality


def test_text_voxels(tmp_path):
    text = " ".join(map(str, VALUES.ravel().tolist())).encode()
    read = read_volume(nrrd(tmp_path / "x.nrrd", text, encoding="ascii"))
    np.testing.assert_allclose(read[0].numpy(), VALUES.T, rtol=1e-6)
    refused(meta_image(tmp_path / "x.mha", text, BinaryData="False"), UnreadableFileError, "as text")


def test_one_time_point_is_a_volume_and_more_are_not(tmp_path):
    four = {"NDims": "4", "TransformMatrix": " ".join(map(str, np.eye(4, dtype=int).ravel()))}
    four |= {"Offset": "1 2 3 4", "ElementSpacing": "1 2 3 4"}
    read = read_volume(meta_image(tmp_path / "x.mha", **four, DimSize="8 7 6 1"))
    np.testing.assert_array_equal(read[0].numpy(), VALUES.T)
    np.testing.assert_array_equal(read.affine.numpy(), np.diag([-1.0, -2, 3, 1]) + np.eye(4, k=3) * -1 + LAST)
    refused(meta_image(tmp_path / "y.mha", **four, DimSize="8 7 3 2"), InputError, "4 dimensions")


LAST = np.array([[0.0, 0, 0, 0], [0, 0, 0, -2], [0, 0, 0, 3], [0, 0, 0, 0]])


def test_vectors_colors_and_complex_numbers(tmp_path):
    refused(meta_image(tmp_path / "x.mha", ElementNumberOfChannels="3"), InputError, "vectors")
    refused(meta_image(tmp_path / "y.mha", ElementType="MET_FLOAT_ARRAY"), InputError, "vectors")
    refused(nrrd(tmp_path / "x.nrrd", kinds="vector domain domain"), InputError, "vectors")
    refused(nrrd(tmp_path / "y.nrrd", kinds="RGB-color domain domain"), InputError, "colors")
    image = sitk.Cast(sitk.GetImageFromArray(VALUES), sitk.sitkComplexFloat32)
    sitk.WriteImage(image, str(tmp_path / "z.nrrd"))
    refused(tmp_path / "z.nrrd", InputError, "plain numbers")


def test_single_slice(tmp_path):
    flat = {"NDims": "2", "TransformMatrix": "1 0 0 1", "Offset": "1 2", "ElementSpacing": "1 2"}
    refused(meta_image(tmp_path / "x.mha", **flat, DimSize="8 42"), InputError, "at least 4 slices")
    refused(nrrd(tmp_path / "x.nrrd", sizes="8 42 1"), InputError, "at least 4 slices")


@pytest.mark.parametrize("dims", ["2000 2000 2000", "1000 1000 1000", "99999999999999999999 8 8", "2 2 -9", "0 8 8"])
def test_sizes_beyond_the_file(tmp_path, dims, monkeypatch):
    monkeypatch.setattr(sitk, "ImageFileReader", lambda: pytest.fail("the reader was asked"))
    for packed in ("True", "False"):
        refused(meta_image(tmp_path / "x.mha", DimSize=dims, CompressedData=packed), InputError)
    for encoding in ("raw", "gzip", "ascii", "hex"):
        refused(nrrd(tmp_path / "x.nrrd", sizes=dims, encoding=encoding), InputError)


BROKEN_META = {
    "type": {"ElementType": "MET_FOO"},
    "no type": {"ElementType": None},
    "sizes": {"DimSize": "8 seven 6"},
    "channels": {"ElementNumberOfChannels": "x"},
    "no dims": {"NDims": None},
    "twice": {"dimsize": "8 7 6"},
}


@pytest.mark.parametrize("changes", BROKEN_META.values(), ids=BROKEN_META.keys())
def test_broken_meta_headers(tmp_path, changes):
    refused(meta_image(tmp_path / "x.mha", **changes), UnreadableFileError, "x.mha")


@pytest.mark.parametrize(
    "changes",
    [{"type": "block"}, {"type": None}, {"encoding": "bzip2"}, {"sizes": "8 7 x"}, {"Sizes": "8 7 6"}],
)
def test_broken_nrrd_headers(tmp_path, changes):
    refused(nrrd(tmp_path / "x.nrrd", **changes), UnreadableFileError, "x.nrrd")


@pytest.mark.parametrize(
    "changes",
    [
        {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
        {"TransformMatrix": "0 0 0 0 0 0 0 0 0"},
        {"ElementSpacing": "1 0 1"},
        {"ElementSpacing": "1 1e9 1"},
        {"ElementSpacing": "1 nan 1"},
        {"Offset": "1e9 0 0"},
    ],
)
def test_unusable_geometry_of_meta_images(tmp_path, changes):
    refused(meta_image(tmp_path / "x.mha", **changes), GeometryError, "x.mha")


@pytest.mark.parametrize("axes", ["(1,0,0) (1,0,0) (0,0,1)", "(nan,0,0) (0,1,0) (0,0,1)", "(0,0,0) (0,1,0) (0,0,1)"])
def test_unusable_geometry_of_nrrd(tmp_path, axes):
    refused(nrrd(tmp_path / "x.nrrd", space_directions=axes), GeometryError, "x.nrrd")


def test_the_path_does_not_change_the_reason(tmp_path):
    folder = tmp_path / "spacing direction determinant"
    folder.mkdir()
    refused(nrrd(folder / "x.nrrd", b"0 1 2", encoding="hex", sizes="8 7 6", type="uchar"), UnreadableFileError)
    refused(nrrd(folder / "x.nrrd", RAW, encoding="hex"), UnreadableFileError, "damaged")


def test_a_checksum_that_does_not_agree(tmp_path):
    packed = bytearray(zlib.compress(RAW))
    packed[-1] ^= 1
    size = str(len(packed))
    path = meta_image(tmp_path / "x.mha", bytes(packed), CompressedData="True", CompressedDataSize=size)
    refused(path, UnreadableFileError, "damaged")
    short = zlib.compress(RAW[:-4])
    refused(meta_image(tmp_path / "y.mha", short, CompressedData="True"), UnreadableFileError, "end early")
