from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.png_slices import read_gray, read_slice, read_slice_pair, write_slice

GRAY = np.random.default_rng(3).integers(0, 256, (5, 7), dtype=np.uint8)
COLOR = np.random.default_rng(4).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_gray(tmp_path):
    read = read_gray(save(tmp_path / "x.png", GRAY))
    assert read.shape == (5, 7)
    assert read.dtype == torch.float32
    np.testing.assert_array_equal(read.numpy(), (GRAY / 255.0).astype(np.float32))


def test_color_becomes_luminance(tmp_path):
    read = read_gray(save(tmp_path / "x.png", COLOR))
    red, green, blue = np.moveaxis(COLOR.astype(np.float64), -1, 0)
    np.testing.assert_allclose(read.numpy(), (0.299 * red + 0.587 * green + 0.114 * blue) / 255, atol=1e-7)


def test_gray_stored_as_color_is_the_same_picture(tmp_path):
    read = read_gray(save(tmp_path / "x.png", np.stack([GRAY] * 3, axis=-1)))
    np.testing.assert_allclose(read.numpy(), GRAY / 255.0, atol=1e-7)


def test_white_and_black_are_the_ends(tmp_path):
    for value in (0, 255):
        read = read_gray(save(tmp_path / "x.png", np.full((4, 4, 3), value, dtype=np.uint8)))
        assert torch.equal(read, torch.full((4, 4), value / 255))


def test_alpha_counts_only_if_it_hides_something(tmp_path):
    opaque = np.dstack([COLOR, np.full((5, 7), 255, dtype=np.uint8)])
    expected = read_gray(save(tmp_path / "x.png", COLOR))
    assert torch.equal(read_gray(save(tmp_path / "y.png", opaque)), expected)
    opaque[0, 0, 3] = 0
    with pytest.raises(InputError, match="transparent"):
        read_gray(save(tmp_path / "z.png", opaque))


def test_other_pixels_and_sizes_are_refused(tmp_path):
    with pytest.raises(InputError, match="mode"):
        read_gray(save(tmp_path / "two.png", GRAY > 128))
    with pytest.raises(InputError, match="at most 4096"):
        read_gray(save(tmp_path / "long.png", np.zeros((4, 5000), dtype=np.uint8)))


def test_sixteen_bits_are_read_in_full(tmp_path):
    deep = GRAY.astype(np.uint16) * 251 + 7
    read = read_slice(save(tmp_path / "x.png", deep))
    assert read.bits == 16
    np.testing.assert_array_equal(read.gray.numpy(), (deep / 65535.0).astype(np.float32))


def test_only_color_that_can_be_seen_counts(tmp_path):
    nearly = np.stack([GRAY // 2, GRAY // 2 + 2, GRAY // 2 + 1], axis=-1)
    assert read_slice(save(tmp_path / "x.png", nearly)).color is None
    assert read_slice(save(tmp_path / "x.png", GRAY)).color is None
    color = read_slice(save(tmp_path / "x.png", COLOR)).color
    np.testing.assert_allclose(color.numpy(), np.moveaxis(COLOR, -1, 0) / 255.0, atol=1e-7)


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_written_is_read_again(tmp_path, bits):
    gray = torch.linspace(0, 1, 35).view(5, 7)
    write_slice(gray, tmp_path / "x.png", bits)
    read = read_slice(tmp_path / "x.png")
    assert read.bits == bits
    torch.testing.assert_close(read.gray, gray, rtol=0, atol=0.51 / (2**bits - 1))


def test_color_is_written_and_what_is_out_of_range_is_cut(tmp_path):
    color = torch.stack([torch.full((4, 4), value) for value in (1.2, 0.5, -0.1)])
    write_slice(color, tmp_path / "x.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "x.png"))[0, 0], [255, 128, 0])


def test_a_pair_has_one_size(tmp_path):
    first, other = save(tmp_path / "a.png", GRAY), save(tmp_path / "b.png", GRAY.T)
    with pytest.raises(InputError, match=r"a\.png has 7 x 5 pixels, .*b\.png 5 x 7; give"):
        read_slice_pair(first, other)
    with pytest.raises(InputError, match="at least 6 a side"):
        read_slice_pair(first, first, smallest_side=6)
    pair = read_slice_pair(first, first, smallest_side=5)
    assert torch.equal(pair[0].gray, pair[1].gray)


def test_unreadable_files(tmp_path):
    whole = save(tmp_path / "x.png", COLOR).read_bytes()
    for content in (b"hello", whole[:60], whole[:-40], whole[:50] + b"\0\0\0\0" + whole[54:]):
        (tmp_path / "y.png").write_bytes(content)
        with pytest.raises(UnreadableFileError, match="not a readable PNG"):
            read_gray(tmp_path / "y.png")
    Image.fromarray(COLOR).save(tmp_path / "jpeg.png", format="JPEG")
    with pytest.raises(UnreadableFileError, match="not a readable PNG"):
        read_gray(tmp_path / "jpeg.png")
    with pytest.raises(UnreadableFileError, match="does not exist"):
        read_gray(tmp_path / "none.png")


def test_real_slices(shared):
    folder = shared / "data" / "slices"
    for path in sorted(folder.rglob("*.png"))[::150]:
        read = read_gray(path)
        assert read.shape == (256, 256)
        assert 0.0 <= float(read.min()) < float(read.max()) <= 1.0
