"""Deformations on disk move points, for ITK, where medfuse moves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from full_disk import file_size_limit

from medfuse.errors import OutputError
from medfuse.geometry import apply_affine
from medfuse.io.displacement_files import write_displacement
from medfuse.registration.starts import about_centers, rotation
from medfuse.registration.warp import Displacement, move_points

FLIP = np.array([-1.0, -1.0, 1.0])
NODES = (9, 8, 7)
AFFINE = about_centers(rotation(np.radians((12.0, -7.0, 20.0))), np.zeros(3), np.array([15.0, -40.0, 30.0])) @ np.diag(
    [-5.0, 4.0, 6.0, 1.0]
)
START = about_centers(rotation(np.radians((4.0, 9.0, -13.0))), np.zeros(3), np.array([3.0, -8.0, 5.0])) @ np.diag(
    [1.1, 0.9, 1.05, 1.0]
)
FORMS = (".nii.gz", ".h5")


def values() -> torch.Tensor:
    return 3.0 * torch.randn((3, *NODES), generator=torch.Generator().manual_seed(1))


def inner_points() -> np.ndarray:
    indices = np.random.default_rng(2).uniform(0.0, np.asarray(NODES) - 1.0, (100, 3))
    return apply_affine(AFFINE, indices)


def read(path: Path) -> sitk.Transform:
    if path.name.endswith(".nii.gz"):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def moved_by(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return np.array([transform.TransformPoint(point) for point in (points * FLIP).tolist()]) * FLIP


@pytest.mark.parametrize("form", FORMS)
def test_itk_moves_points_as_medfuse_does(tmp_path: Path, form: str) -> None:
    path = write_displacement(values(), AFFINE, START, tmp_path / f"deformation.v1{form}")
    assert path == tmp_path / f"deformation.v1{form}"
    points = inner_points()
    expected = move_points(points, START, Displacement(values(), AFFINE))
    assert np.linalg.norm(expected - points, axis=1).min() > 1.0
    np.testing.assert_allclose(moved_by(read(path), points), expected, atol=2e-3)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_composite_goes_on_linearly_beyond_its_nodes(tmp_path: Path) -> None:
    path = write_displacement(values(), AFFINE, START, tmp_path / "d.h5")
    far = np.array([[400.0, -300.0, 500.0]])
    np.testing.assert_allclose(moved_by(read(path), far), apply_affine(START, far), atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_this_name_is_replaced(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"d{form}"
    write_displacement(values(), AFFINE, START, path)
    write_displacement(torch.zeros(3, *NODES), AFFINE, np.eye(4), path)
    points = inner_points()
    np.testing.assert_allclose(moved_by(read(path), points), points, atol=1e-4)


@pytest.mark.parametrize("name", ["d.nii", "d.tfm", "d.gz", "d", "d.h5.txt"])
def test_other_names_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.nii\.gz or \.h5") as caught:
        write_displacement(values(), AFFINE, START, tmp_path / "new" / name)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_real_limit_leaves_the_old_file_and_one_line(
    tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"d{form}"
    path.write_bytes(b"old")
    large = torch.randn((3, 30, 30, 30), generator=torch.Generator().manual_seed(1))
    with file_size_limit(20_000), pytest.raises(OutputError) as caught:
        write_displacement(large, AFFINE, START, path)
    assert "\n" not in str(caught.value)
    assert "space" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_folder_is_made_and_a_folder_in_the_way_refused(tmp_path: Path, form: str) -> None:
    assert write_displacement(values(), AFFINE, START, tmp_path / "a" / f"d{form}").is_file()
    (tmp_path / f"d{form}").mkdir()
    with pytest.raises(OutputError, match="not a regular file"):
        write_displacement(values(), AFFINE, START, tmp_path / f"d{form}")
