"""The main job on DICOM: one study in, a volume and its DICOM objects out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import QUICK, refusal, run

from medfuse.errors import OptionError
from medfuse.io.dicom_input import read_dicom_volume
from medfuse.io.dicom_registration import read_spatial_registration
from medfuse.io.volume_files import read_volume
from medfuse.phantom import Phantom, write_phantom
from medfuse.pipeline import fuse_volumes


@pytest.fixture(scope="module")
def study(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "patient"
    write_phantom(phantom_small, folder)
    return folder / "dicom"


@pytest.fixture(scope="module")
def fused(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("fused") / "result"
    result = run("fuse", study, "-o", output, "--fixed", "1", "--moving", "PT", *QUICK)
    assert result.exit_code == 0, result.stderr
    return output


def test_a_study_gives_its_own_derived_series(study: Path, fused: Path) -> None:
    objects = {path.relative_to(fused / "dicom").parts[0] for path in (fused / "dicom").rglob("*.dcm")}
    assert objects == {"fused", "moving", "color", "registration.dcm", "blending.dcm"}
    source = read_dicom_volume(study, "1", "fixed")
    derived = read_dicom_volume(fused / "dicom" / "fused", None, "fixed")
    assert derived.meta["dicom"].study_uid == source.meta["dicom"].study_uid
    assert derived.meta["dicom"].series_uid != source.meta["dicom"].series_uid
    assert derived.meta["frame_of_reference_uid"] == source.meta["frame_of_reference_uid"]


def test_the_derived_series_is_the_fused_volume(fused: Path) -> None:
    volume = read_volume(fused / "fused.nii.gz")
    derived = read_dicom_volume(fused / "dicom" / "fused", None, "fixed")
    np.testing.assert_allclose(derived.affine.numpy(), volume.affine.numpy(), atol=1e-4)
    step = 1.0 / 32767
    np.testing.assert_allclose(derived.numpy(), volume.numpy(), atol=step)


def test_the_transform_is_the_one_in_the_record(fused: Path) -> None:
    record = json.loads((fused / "run.json").read_text(encoding="utf-8"))
    read = read_spatial_registration(fused / "dicom" / "registration.dcm")
    np.testing.assert_allclose(read.fixed_to_moving_ras, record["registration"]["fixed_to_moving_ras"], atol=1e-6)


def test_suv_survives(study: Path, fused: Path, phantom_small: Phantom) -> None:
    moving = read_dicom_volume(fused / "dicom" / "moving", None, "moving")
    assert read_dicom_volume(study, "PT", "moving").meta["units"] == "SUV"
    truth = float(phantom_small.volumes["PT"].max())
    assert float(moving.max()) == pytest.approx(truth, rel=0.15)


def test_the_patient_can_be_left_out(study: Path, tmp_path: Path) -> None:
    chosen = ("--fixed", "1", "--moving", "CT", "--deidentify", *QUICK)
    assert run("fuse", study, "-o", tmp_path / "out", *chosen).exit_code == 0
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert b"Phantom^Digital" not in path.read_bytes()


def test_equal_runs_write_equal_dicom_if_asked(study: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        chosen = ("--fixed", "1", "--moving", "CT", "--repeatable-uids", *QUICK)
        assert run("fuse", study, "-o", tmp_path / name, *chosen).exit_code == 0
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name / "dicom").rglob("*.dcm")}
        for name in ("a", "b")
    )
    assert first == second


def test_dicom_is_not_written_where_it_is_not_wanted(study: Path, tmp_path: Path) -> None:
    run("fuse", study, "-o", tmp_path / "out", "--fixed", "1", "--moving", "CT", "--no-dicom", *QUICK)
    assert not (tmp_path / "out" / "dicom").exists()
    assert (tmp_path / "out" / "fused.nii.gz").is_file()


def test_a_choice_that_is_not_clear_is_refused_in_one_line(study: Path, tmp_path: Path) -> None:
    assert "the fixed series can be" in refusal("fuse", study, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "give either FIXED (and MOVING), or --from ARCHIVE --study UID"),
        (("--from", "http://127.0.0.1:9/dicom-web"), "--from and --study go together"),
        (("t1.nii.gz", "--from", "A@localhost:4242", "--study", "1.2"), "give either FIXED"),
        (("--from", "nowhere", "--study", "1.2"), "is no DICOM address"),
    ],
)
def test_sources_that_do_not_go_together_are_refused(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refusal("fuse", *arguments, "-o", tmp_path / "out")


def test_one_file_alone_is_no_pair(patient: Path) -> None:
    with pytest.raises(OptionError, match="the moving volume is missing"):
        fuse_volumes(patient / "t1.nii.gz")
