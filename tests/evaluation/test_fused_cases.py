"""Lists of cases, and the images that their files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_slices import picture, save, tinted
from made_volumes import made

from medfuse.errors import InputError, MedfuseError, OptionError, UnreadableFileError
from medfuse.evaluation import FusedCase, read_cases
from medfuse.evaluation.case_images import read_images
from medfuse.io.volume_files import write_volume

THICK = np.diag([1.0, 4.0, 1.0, 1.0])  # slices lie along the second axis
SHAPE = (44, 5, 43)
CHANCE = np.random.default_rng(0)


def volume_case(folder: Path, **changed: np.ndarray) -> FusedCase:
    values = {
        "first": CHANCE.gamma(2.0, 100.0, SHAPE),
        "second": CHANCE.uniform(-1000.0, 1000.0, SHAPE),
        "fused": CHANCE.uniform(0.0, 1.0, SHAPE),
        **changed,
    }
    names = {"first": "p_T1w", "second": "p_ct", "fused": "p_fused", "mask": "p_mask"}
    paths = {role: folder / f"{names[role]}.nii.gz" for role in values}
    for role, array in values.items():
        write_volume(made(array.astype(np.float32), "MR", THICK), paths[role])
    return FusedCase("p", **paths)


def picture_case(folder: Path) -> FusedCase:
    first = save(picture(0, 2), folder / "a.png")
    second = save(tinted(picture(1, 8)), folder / "b.png")
    return FusedCase("p", first, second, save(picture(2, 4), folder / "f.png"))


def test_a_list_is_read_relative_to_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(
        "\ufeffcase,first,second,fused,mask\n1,a.png,sub/b.png,f.png,\n2,/x/a.png,b.png,f.png,m.png\n", "utf-8"
    )
    one, two = read_cases(path)
    assert (one.first, one.second, one.mask) == (tmp_path / "a.png", tmp_path / "sub" / "b.png", None)
    assert (two.case, two.first, two.mask) == ("2", Path("/x/a.png"), tmp_path / "m.png")
    assert two.files == [two.first, two.second, two.fused, two.mask]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("case,first,second\n1,a,b\n", "leaves a value out"),
        ("case,first,second,fused\n", "lists no cases"),
        ("case,first,second,fused\n1,a,b,\n", "leaves a value out"),
        ("case,first,second,fused\n1,a,b,c\n1,d,e,f\n", "case '1' is listed twice"),
        ("\xff\xfe", "cannot be read as CSV"),
    ],
)
def test_odd_lists_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "cases.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableFileError, match=reason):
        read_cases(tmp_path / "cases.csv")


def test_pictures_are_taken_by_their_bits(tmp_path: Path) -> None:
    images = read_images(picture_case(tmp_path))
    assert not images.is_volume
    assert images.first.shape == (1, 1, 48, 48)
    torch.testing.assert_close(images.fused[0, 0], torch.from_numpy(picture(2, 4)) / 255.0)
    assert images.mask is None


def test_volumes_go_through_windows_and_lie_along_their_slices(tmp_path: Path) -> None:
    case = volume_case(tmp_path, mask=(np.arange(44 * 5 * 43).reshape(SHAPE) % 2).astype(float))
    images = read_images(case)
    assert images.first.shape == images.mask.shape == (1, 1, 44, 43, 5)
    for image in (images.first, images.second):
        assert image.min() == 0.0
        assert image.max() == 1.0
    assert images.mask.dtype == torch.bool
    assert 0.4 < images.mask.float().mean() < 0.6
    one = images.slice_at(3)
    assert one.first.shape == (1, 1, 44, 43)
    assert torch.equal(one.fused, images.fused[..., 3])
    assert torch.equal(one.mask, images.mask[..., 3])


def test_a_range_is_taken_as_given(tmp_path: Path) -> None:
    second = CHANCE.uniform(-1000.0, 1000.0, SHAPE)
    images = read_images(volume_case(tmp_path, second=second), (-1000.0, 1000.0))
    expected = torch.from_numpy((second + 1000.0) / 2000.0).movedim(1, -1).float()
    torch.testing.assert_close(images.second[0, 0], expected, atol=1e-6, rtol=0)


def test_a_fused_volume_beyond_one_is_brought_there(tmp_path: Path) -> None:
    fused = CHANCE.uniform(10.0, 50.0, SHAPE)
    images = read_images(volume_case(tmp_path, fused=fused))
    assert (images.fused.min(), images.fused.max()) == (0.0, 1.0)
    dim = read_images(volume_case(tmp_path, fused=CHANCE.uniform(0.2, 0.6, SHAPE)))
    assert dim.fused.max() < 0.61


def test_slices_with_a_blank_source_are_left_out(tmp_path: Path) -> None:
    first = CHANCE.gamma(2.0, 100.0, SHAPE)
    first[:, 4] = 0.0
    assert read_images(volume_case(tmp_path, first=first)).slices_with_picture() == [0, 1, 2, 3]


def refused(case: FusedCase, error: type[MedfuseError], reason: str) -> None:
    with pytest.raises(error, match=reason):
        read_images(case)


def test_images_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    pictures, volumes = picture_case(tmp_path), volume_case(tmp_path)
    refused(FusedCase("p", pictures.first, pictures.second, volumes.fused), InputError, "mixes PNG pictures")
    other = save(picture(0, 2)[:46], tmp_path / "other.png")
    refused(FusedCase("p", pictures.first, other, pictures.fused), InputError, "48 x 48, 46 x 48, 48 x 48 pixels")
    small = save(picture(0, 2)[:40], tmp_path / "small.png")
    refused(FusedCase("p", small, small, small), InputError, "at least 41 a side")
    write_volume(made(CHANCE.random(SHAPE), "MR", np.diag([1.0, 4.0, 1.1, 1.0])), tmp_path / "moved.nii.gz")
    moved = FusedCase("p", volumes.first, tmp_path / "moved.nii.gz", volumes.fused)
    refused(moved, InputError, "moved.nii.gz does not lie on the grid of .*p_T1w.nii.gz")
    with pytest.raises(OptionError, match="give the lower end first"):
        read_images(volumes, (1.0, 1.0))
