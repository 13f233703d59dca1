"""A made-up volume as a DICOM series: read back it is the same volume in the same place."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from monai.data import MetaTensor
from skipping import skip_or_fail

from medfuse.errors import InputError
from medfuse.geometry import apply_affine, center_mm
from medfuse.io.dicom_input import read_dicom_volume
from medfuse.io.dicom_original import OriginalSeries, made_uid, write_original_series
from medfuse.phantom import Phantom

SERIES = OriginalSeries(study="tests", frame="scanner", description="made up", number=3)
ROUNDING = {"MR_T1": 0.5, "CT": 0.5, "NM": 0.5}


def written(volume: MetaTensor, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    return write_original_series(volume, folder, SERIES)


def value_at(volume: MetaTensor, point_mm: np.ndarray) -> float:
    index = np.rint(apply_affine(np.linalg.inv(volume.affine.numpy()), point_mm)).astype(int)
    return float(volume[(0, *index)])


@pytest.mark.parametrize("name", ["MR_T1", "CT", "PT", "NM"])
def test_each_voxel_comes_back_where_it_was(phantom_small: Phantom, tmp_path: Path, name: str) -> None:
    made = phantom_small.volumes[name]
    written(made, tmp_path / "series")
    read = read_dicom_volume(tmp_path / "series", None, "fixed")
    assert read.meta["modality"] == made.meta["modality"]
    assert sorted(read.shape) == sorted(made.shape)
    shape = (made.shape[1], made.shape[2], made.shape[3])
    middle = center_mm(made.affine.numpy(), shape)
    np.testing.assert_allclose(center_mm(read.affine.numpy(), tuple(read.shape[1:])), middle, atol=1e-3)  # type: ignore[arg-type]
    tolerance = ROUNDING.get(name, float(made.max()) * 1e-4)
    for index in np.random.default_rng(0).integers(0, shape, (200, 3)):
        point = apply_affine(made.affine.numpy(), index.astype(np.float64))
        assert abs(value_at(read, point) - float(made[(0, *index)])) <= tolerance


def test_pet_is_stored_in_becquerel_with_a_slope_for_each_slice(phantom_small: Phantom, tmp_path: Path) -> None:
    files = written(phantom_small.volumes["PT"], tmp_path / "series")
    slopes = {sitk.ReadImage(str(path)).GetMetaData("0028|1053") for path in files}
    assert len(slopes) > 10
    assert read_dicom_volume(tmp_path / "series", "PT", "moving").meta["units"] == "SUV"


def test_equal_volumes_give_equal_bytes(phantom_small: Phantom, tmp_path: Path) -> None:
    first = written(phantom_small.volumes["CT"], tmp_path / "a")
    second = written(phantom_small.volumes["CT"], tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert made_uid("a") != made_uid("b")
    assert len(made_uid("a")) <= 64


@pytest.mark.parametrize("name", ["MR_T1", "CT", "PT", "NM"])
def test_a_validator_finds_no_error(phantom_small: Phantom, tmp_path: Path, name: str) -> None:
    if shutil.which("dciodvfy") is None:
        skip_or_fail("dciodvfy is not installed (Debian: dicom3tools)")
    files = written(phantom_small.volumes[name], tmp_path / "series")
    said = subprocess.run(["dciodvfy", str(files[0])], capture_output=True, text=True, check=False)
    assert [line for line in (said.stdout + said.stderr).splitlines() if "Error" in line] == []


def test_an_unknown_modality_is_refused(phantom_small: Phantom, tmp_path: Path) -> None:
    volume = phantom_small.volumes["CT"].clone()
    volume.meta["modality"] = "US"
    with pytest.raises(InputError, match="modality is 'US'"):
        written(volume, tmp_path / "series")
