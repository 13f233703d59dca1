"""The picture shows the patient as radiologists look at one, however the volume is stored."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fusion_fixtures import Fused
from made_volumes import cloud, made
from PIL import Image

from medfuse.geometry import Matrix, apply_affine
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.report.planes import canonical, canonical_spacing, checkerboard, plane_picture
from medfuse.report.preview import write_preview

SHAPE_RAS = (11, 13, 15)
MARKER_RAS = (8, 9, 12)  # to the patient's right, the front and the head of the middle
MIDDLE = (5, 6, 7)
ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))


def stored(axes: tuple[int, ...], signs: tuple[int, ...]) -> tuple[np.ndarray, Matrix]:
    """Return a volume with one marked voxel, and its affine, stored along other axes; 1 x 2 x 3 mm in RAS order."""
    volume = np.zeros(SHAPE_RAS)
    volume[MARKER_RAS] = 1.0
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-20.0, 10.0, 5.0)
    volume = np.transpose(volume, axes)
    affine = affine[:, [*axes, 3]]
    for axis, sign in enumerate(signs):
        if sign < 0:
            volume = np.flip(volume, axis)
            affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
            affine[:3, axis] *= -1
    return volume, affine


@pytest.mark.parametrize("tilt_degrees", [0, 25])
def test_any_orientation_is_turned_to_right_front_head(tilt_degrees: int) -> None:
    assert len(ORIENTATIONS) == 48
    angle = np.radians(tilt_degrees)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    for axes, signs in ORIENTATIONS:
        volume, affine = stored(axes, signs)
        (voxel,) = np.argwhere(volume)
        np.testing.assert_allclose(apply_affine(affine, voxel.astype(float)), [-12.0, 28.0, 41.0])
        turned = canonical(volume, tilt @ affine)
        assert turned.shape == SHAPE_RAS
        assert np.argwhere(turned).tolist() == [list(MARKER_RAS)]
        np.testing.assert_allclose(canonical_spacing(tilt @ affine), [1.0, 2.0, 3.0])


def test_color_is_turned_like_gray() -> None:
    volume, affine = stored((2, 0, 1), (1, -1, 1))
    color = np.repeat(volume[..., None], 3, axis=-1)
    assert np.array_equal(canonical(color, affine)[..., 1], canonical(volume, affine))


@pytest.mark.parametrize(
    ("plane", "left_half", "upper_half"),
    [
        ("axial", True, True),  # right on the left, front up
        ("coronal", True, True),  # right on the left, head up
        ("sagittal", True, True),  # front on the left, head up
    ],
)
def test_a_marker_is_where_radiologists_look_for_it(plane: str, left_half: bool, upper_half: bool) -> None:
    for axes, signs in ORIENTATIONS:
        volume, affine = stored(axes, signs)
        picture = plane_picture(canonical(volume, affine), plane, MARKER_RAS)
        ((row, column),) = np.argwhere(picture)
        assert (column < picture.shape[1] / 2) == left_half
        assert (row < picture.shape[0] / 2) == upper_half


@pytest.mark.parametrize(("plane", "shape"), [("axial", (13, 11)), ("coronal", (15, 11)), ("sagittal", (15, 13))])
def test_a_plane_goes_through_its_center(plane: str, shape: tuple[int, int]) -> None:
    volume = np.zeros((*SHAPE_RAS, 3))
    volume[MIDDLE] = 1.0
    picture = plane_picture(volume, plane, MIDDLE)
    assert picture.shape == (*shape, 3)
    assert np.argwhere(picture[..., 0]).tolist() == [[shape[0] // 2, shape[1] // 2]]


def test_the_checkerboard_takes_both_in_cubes_of_24_mm() -> None:
    shape, spacing = (10, 20, 30, 3), np.array([12.0, 6.0, 4.0])
    board = checkerboard(np.zeros(shape), np.ones(shape), spacing)[..., 0]
    for voxel in np.ndindex(board.shape):
        cube = [int(index * step // 24.0) for index, step in zip(voxel, spacing, strict=True)]
        assert board[voxel] == sum(cube) % 2
    assert 0.4 < board.mean() < 0.6


def test_a_checkerboard_of_one_volume_is_that_volume() -> None:
    volume = np.random.default_rng(0).random((7, 8, 9, 3))
    assert np.array_equal(checkerboard(volume, volume, np.array([5.0, 6.0, 7.0])), volume)


def test_the_same_result_gives_the_same_bytes(fused_pet: Fused, tmp_path: Path) -> None:
    write_preview(fused_pet.result, "hot_iron", tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (fused_pet.folder / "preview.png").read_bytes()


def test_the_palette_is_used(fused_pet: Fused, tmp_path: Path) -> None:
    write_preview(fused_pet.result, "hot_metal_blue", tmp_path / "blue.png")
    with Image.open(tmp_path / "blue.png") as other, Image.open(fused_pet.folder / "preview.png") as hot:
        blue = [
            float((np.asarray(image)[..., 2].astype(float) - np.asarray(image)[..., 0]).max()) for image in (other, hot)
        ]
    assert blue[0] > 100 > blue[1]


@pytest.mark.parametrize("modalities", [("PT", "MR"), ("NM", "PT"), ("MR", "MR")])
def test_any_two_modalities_can_be_drawn(tmp_path: Path, modalities: tuple[str, str]) -> None:
    options = FusionOptions(method="max", registration=RegistrationOptions(method="none"))
    pair = [made(cloud(seed), modality) for seed, modality in enumerate(modalities)]
    write_preview(fuse_volumes(*pair, options), "pet", tmp_path / "preview.png")
    assert (tmp_path / "preview.png").stat().st_size > 10_000


def test_a_scan_all_of_one_brightness_can_be_drawn(fused_ct: Fused, tmp_path: Path) -> None:
    flat = fused_ct.result.fixed_normalized * 0 + 0.1
    write_preview(replace(fused_ct.result, fixed_normalized=flat), "hot_iron", tmp_path / "preview.png")
    assert (tmp_path / "preview.png").is_file()
