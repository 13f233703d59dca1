from __future__ import annotations

import gzip
import logging
import os
import pickle
import socket

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from monai.data import DataLoader, MetaTensor, decollate_batch
from monai.data.utils import list_data_collate

from medfuse.errors import GeometryError, InputError, IntensityError, OutputError, UnreadableFileError
from medfuse.io import volume_files
from medfuse.io.volume_files import read_volume, write_color_volume, write_volume

SHAPE = (6, 7, 8)
TURN = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
AFFINE = np.eye(4)
AFFINE[:3, :3] = TURN * (1.0, 1.5, 3.0)
AFFINE[:3, 3] = (-31.7, 12.3, 45.6)


def values(seed=0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, *SHAPE)).astype(np.float32))


def volume(affine=AFFINE, **meta) -> MetaTensor:
    return MetaTensor(values(), affine=torch.from_numpy(np.array(affine)), meta=meta)


def refused(path, error, *words):
    with pytest.raises(error) as caught:
        read_volume(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    for word in words:
        assert word in message
    return message


@pytest.mark.parametrize("extension", volume_files.WRITABLE)
def test_what_is_written_is_read_back(tmp_path, extension):
    path = tmp_path / f"volume{extension}"
    write_volume(volume(), path)
    back = read_volume(path)
    assert back.shape == (1, *SHAPE)
    assert back.dtype == torch.float32
    assert back.affine.dtype == torch.float64
    assert torch.equal(back.as_tensor(), values())
    tolerance = 1e-5 if "nii" in extension else 1e-12
    np.testing.assert_allclose(back.affine.numpy(), AFFINE, atol=tolerance)
    assert back.meta["filename_or_obj"] == str(path)


@pytest.mark.parametrize("extension", volume_files.WRITABLE)
def test_every_reader_sees_the_same_world(tmp_path, extension):
    path = tmp_path / f"volume{extension}"
    write_volume(volume(), path)
    image = sitk.ReadImage(str(path))
    for index in ((0, 0, 0), (5, 0, 0), (0, 6, 0), (0, 0, 7), (2, 3, 4)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * (-1, -1, 1), (AFFINE @ (*index, 1))[:3], atol=1e-4)
    assert image.GetPixel(2, 3, 4) == values()[0, 2, 3, 4]


@pytest.mark.parametrize("extension", volume_files.WRITABLE)
def test_same_volume_same_bytes(tmp_path, extension):
    paths = [tmp_path / "a" / f"x{extension}", tmp_path / "b" / f"y{extension}"]
    for path in paths:
        write_volume(volume(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_gzip_carries_neither_time_nor_name(tmp_path):
    write_volume(volume(), tmp_path / "secret.nii.gz")
    start = (tmp_path / "secret.nii.gz").read_bytes()[:64]
    assert start[3] == 0
    assert start[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32])
def test_number_types_are_kept(tmp_path, dtype):
    whole = MetaTensor((values() * 50).abs().to(dtype), affine=torch.from_numpy(AFFINE))
    for extension in (".nii.gz", ".mha"):
        path = tmp_path / f"x{extension}"
        write_volume(whole, path)
        assert torch.equal(read_volume(path).as_tensor(), whole.as_tensor().float())
    stored = nib.load(tmp_path / "x.nii.gz").get_data_dtype()
    assert stored == np.dtype(str(dtype).removeprefix("torch."))


def test_wide_numbers_become_the_nearest_common_type(tmp_path):
    for dtype, stored in ((torch.float64, np.float32), (torch.bool, np.uint8), (torch.int64, np.int32)):
        path = tmp_path / "x.nii"
        write_volume(MetaTensor((values() > 0).to(dtype), affine=torch.from_numpy(AFFINE)), path)
        assert nib.load(path).get_data_dtype() == stored
    huge = MetaTensor(torch.full((1, *SHAPE), 2**40), affine=torch.from_numpy(AFFINE))
    with pytest.raises(InputError, match="32 bits"):
        write_volume(huge, tmp_path / "y.nii")
    assert not (tmp_path / "y.nii").exists()


def test_color_volume_is_rgb24(tmp_path):
    rgb = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8))
    path = tmp_path / "color.nii.gz"
    write_color_volume(MetaTensor(rgb, affine=torch.from_numpy(AFFINE)), path)
    image = nib.load(path)
    assert int(image.header["datatype"]) == 128
    stored = np.asarray(image.dataobj)
    for channel, name in enumerate("RGB"):
        np.testing.assert_array_equal(stored[name], rgb[channel])
    pixel = sitk.ReadImage(str(path)).GetPixel(1, 2, 3)
    assert pixel == tuple(rgb[:, 1, 2, 3].tolist())
    refused(path, InputError, "RGB")


def test_color_volume_refuses_other_shapes_and_types(tmp_path):
    affine = torch.from_numpy(AFFINE)
    with pytest.raises(InputError, match="uint8"):
        write_color_volume(MetaTensor(torch.zeros(3, *SHAPE), affine=affine), tmp_path / "x.nii.gz")
    with pytest.raises(InputError, match="shape"):
        write_color_volume(MetaTensor(torch.zeros(1, *SHAPE), affine=affine), tmp_path / "x.nii.gz")
    with pytest.raises(OutputError, match="extension"):
        write_color_volume(MetaTensor(torch.zeros(3, *SHAPE, dtype=torch.uint8), affine=affine), tmp_path / "x.mha")


def test_write_refuses_shape_extension_and_affine(tmp_path):
    with pytest.raises(InputError, match="shape"):
        write_volume(MetaTensor(torch.zeros(2, *SHAPE)), tmp_path / "x.nii")
    with pytest.raises(OutputError, match=r"\.nii\.gz"):
        write_volume(volume(), tmp_path / "x.png")
    with pytest.raises(GeometryError):
        write_volume(volume(np.diag([1.0, 0, 1, 1])), tmp_path / "x.nii")
    assert list(tmp_path.iterdir()) == []


def test_metadata_survives_pickle_and_batches(tmp_path):
    path = tmp_path / "x.nii.gz"
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image((values()[0].numpy() * 100).astype(np.int16), None, header)
    image.set_qform(AFFINE, code=2)
    image.set_sform(None, code=0)
    nib.save(image, path)
    original = nib.load(path).affine
    read = read_volume(path)
    batch = next(iter(DataLoader([read, read], batch_size=2, collate_fn=list_data_collate)))
    for copy in (pickle.loads(pickle.dumps(read)), *decollate_batch(batch), read.clone() * 2):
        out = tmp_path / "out.nii.gz"
        write_volume(copy, out)
        assert nib.load(out).affine.tobytes() == original.tobytes()


def test_a_moved_volume_is_written_where_it_was_moved(tmp_path):
    write_volume(volume(), tmp_path / "x.nii")
    read = read_volume(tmp_path / "x.nii")
    moved = read.affine.clone()
    moved[0, 3] += 10.0
    read.affine = moved
    write_volume(read, tmp_path / "y.nii")
    np.testing.assert_allclose(nib.load(tmp_path / "y.nii").affine, moved.numpy(), atol=1e-5)


def test_uppercase_extensions_count(tmp_path):
    for extension in (".NII.GZ", ".MHA", ".Nrrd"):
        path = tmp_path / f"X{extension}"
        write_volume(volume(), path)
        assert torch.equal(read_volume(path).as_tensor(), values())


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("name", ["with space", "ünï-ço∂é", "quote'\"%d;$(x)", "new\nline", "-rf", "a.b.c"])
def test_odd_names(tmp_path, name, extension):
    path = tmp_path / f"{name}{extension}"
    write_volume(volume(), path)
    assert torch.equal(read_volume(path).as_tensor(), values())
    path.write_bytes(b"not a volume")
    refused(path, UnreadableFileError)


def test_broken_utf8_name_is_read_or_refused_in_one_printable_line(tmp_path):
    for extension in (".nii.gz", ".mha"):
        write_volume(volume(), tmp_path / f"plain{extension}")
        path = tmp_path / os.fsdecode(b"bad\xff" + extension.encode())
        (tmp_path / f"plain{extension}").rename(path)
        if extension == ".mha":
            refused(path, UnreadableFileError, "plain letters")
        else:
            assert torch.equal(read_volume(path).as_tensor(), values())


def test_missing(tmp_path):
    refused(tmp_path / "no.nii.gz", UnreadableFileError, "no.nii.gz", "does not exist")
    refused(tmp_path / "file.nii" / "no.nii.gz", UnreadableFileError, "does not exist")
    refused(str(tmp_path / "nul\0.nii"), UnreadableFileError, "cannot be opened")
    refused(tmp_path / ("x" * 300 + ".nii"), UnreadableFileError, "cannot be opened")


def test_broken_link(tmp_path):
    (tmp_path / "link.nii").symlink_to(tmp_path / "nowhere.nii")
    refused(tmp_path / "link.nii", UnreadableFileError, "does not exist")


def test_folder(tmp_path):
    refused(tmp_path, UnreadableFileError, "folder", "give a file of a volume")


def test_not_a_regular_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.nii")
        refused(tmp_path / "s.nii", UnreadableFileError, "regular")
    os.mkfifo(tmp_path / "pipe.nii.gz")
    refused(tmp_path / "pipe.nii.gz", UnreadableFileError, "regular")


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "x.nii"
    write_volume(volume(), path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(path, UnreadableFileError, "permission")


def test_empty_file(tmp_path):
    (tmp_path / "x.nii.gz").touch()
    refused(tmp_path / "x.nii.gz", UnreadableFileError, "empty")


def test_unknown_extension_names_the_allowed_ones(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"x")
    message = refused(tmp_path / "x.jpg", UnreadableFileError)
    for extension in volume_files.READABLE:
        assert extension in message


@pytest.mark.parametrize("extension", volume_files.READABLE)
@pytest.mark.parametrize("content", [b"hello\n", b"<!DOCTYPE html>\n" * 100, b"\0" * 1000, bytes(range(256)) * 9])
def test_other_content_than_the_name_says(tmp_path, extension, content):
    path = tmp_path / f"x{extension}"
    path.write_bytes(content)
    refused(path, UnreadableFileError, f"x{extension}")


@pytest.mark.parametrize("extension", volume_files.WRITABLE)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, extension, share):
    path = tmp_path / f"x{extension}"
    write_volume(volume(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, UnreadableFileError)


@pytest.mark.parametrize("extension", [".nii.gz", ".mha", ".nrrd"])
def test_damaged_inside_the_compressed_voxels(tmp_path, extension):
    path = tmp_path / f"x{extension}"
    write_volume(volume(), path)
    content = bytearray(path.read_bytes())
    content[-200] ^= 0x10
    path.write_bytes(content)
    refused(path, UnreadableFileError)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, extension, bad):
    holed = volume()
    holed[0, 1, 2, 3] = bad
    write_volume(holed, tmp_path / f"x{extension}")
    refused(tmp_path / f"x{extension}", IntensityError, "1 of 336", "NaN")


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_constant(tmp_path, extension):
    flat = MetaTensor(torch.full((1, *SHAPE), 7.0), affine=torch.from_numpy(AFFINE))
    write_volume(flat, tmp_path / f"x{extension}")
    refused(tmp_path / f"x{extension}", IntensityError, "constant", "7")


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 6, 7), (6, 3, 7)])
def test_too_few_slices(tmp_path, extension, shape):
    thin = MetaTensor(torch.rand(1, *shape), affine=torch.from_numpy(AFFINE))
    write_volume(thin, tmp_path / f"x{extension}")
    refused(tmp_path / f"x{extension}", InputError, "at least 4")


def test_out_of_memory_is_one_line(tmp_path, monkeypatch):
    write_volume(volume(), tmp_path / "x.nii")

    def greedy(path, size):
        raise MemoryError

    monkeypatch.setitem(volume_files._READERS, ".nii", greedy)
    refused(tmp_path / "x.nii", InputError, "memory")


def test_real_volumes_come_back_bit_for_bit(shared, tmp_path):
    for name in ("mni/SPECT.nii", "mni/T1.nii", "mni/scct.nii", "brainix/FLAIR.nii.gz"):
        source = shared / "data" / "volumes" / name
        read = read_volume(source)
        image = nib.load(source)
        np.testing.assert_array_equal(read[0].numpy(), np.asarray(image.dataobj).astype(np.float32))
        write_volume(read, tmp_path / "out.nii.gz")
        out = nib.load(tmp_path / "out.nii.gz")
        assert out.affine.tobytes() == image.affine.tobytes()
        for key in ("qform_code", "sform_code"):
            assert out.header[key] == image.header[key]


def test_reversed_x_axis_is_honored(shared):
    """The SPECT template stores X the other way round than T1: its affine says so, its voxels stay."""
    volumes = shared / "data" / "volumes" / "mni"
    assert read_volume(volumes / "SPECT.nii").affine[0, 0] == 2.0
    assert read_volume(volumes / "T1.nii").affine[0, 0] == -2.0


def test_real_nrrd_agrees_with_itk(shared):
    source = shared / "data" / "volumes" / "brain1_image.nrrd"
    read = read_volume(source)
    image = sitk.ReadImage(str(source))
    index = (100, 50, 7)
    lps = np.array(image.TransformIndexToPhysicalPoint(index))
    np.testing.assert_allclose((read.affine.numpy() @ (*index, 1))[:3] * (-1, -1, 1), lps, atol=1e-9)
    assert read[0][index] == image.GetPixel(*index)


def test_real_hard_cases(shared, caplog):
    folder = shared / "data" / "hard" / "nifti"
    refused(folder / "nii_named_gz_not_gzip.nii.gz", UnreadableFileError, "not gzip")
    refused(folder / "truncated_CT_AVM.nii.gz", UnreadableFileError, "truncated")
    with caplog.at_level(logging.WARNING):
        assert read_volume(folder / "anatomical.nii").shape == (1, 33, 41, 25)
    assert not caplog.records


def test_nothing_of_itk_reaches_the_error_stream(tmp_path, capfd):
    path = tmp_path / "x.mha"
    write_volume(volume(), path)
    content = path.read_bytes()
    size = content.split(b"CompressedDataSize = ")[1].split(b"\n")[0]
    path.write_bytes(content.replace(b"DataSize = " + size, b"DataSize = 9" + size))
    refused(path, UnreadableFileError, "damaged")
    captured = capfd.readouterr()
    assert captured.err == ""
    assert captured.out == ""


def test_reading_works_without_an_error_stream(tmp_path):
    write_volume(volume(), tmp_path / "x.mha")
    kept = os.dup(2)
    os.close(2)
    try:
        read = read_volume(tmp_path / "x.mha")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert torch.equal(read.as_tensor(), values())


def test_gzip_of_several_members_is_read(tmp_path):
    write_volume(volume(), tmp_path / "x.nii")
    plain = (tmp_path / "x.nii").read_bytes()
    (tmp_path / "y.nii.gz").write_bytes(gzip.compress(plain[:500]) + gzip.compress(plain[500:]))
    assert torch.equal(read_volume(tmp_path / "y.nii.gz").as_tensor(), values())
