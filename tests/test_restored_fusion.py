"""The main job with a restored volume: registered and written as it was, fused without its noise, and told of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cli_runs import run
from matplotlib.figure import Figure

from medfuse.errors import OptionError
from medfuse.io.dicom_derived import DicomDescription
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.report.preview import _caption
from medfuse.result import FusionResult, described

STILL = FusionOptions(method="max", registration=RegistrationOptions("none"))


def fused(patient: Path, restore: str, output: Path | None = None) -> FusionResult:
    options = replace(STILL, restore=restore, output=output)
    return fuse_volumes(patient / "t1.nii.gz", patient / "pet.nii.gz", options)


@pytest.fixture(scope="module")
def plain(patient: Path) -> FusionResult:
    return fused(patient, "none")


def test_nothing_is_restored_unasked(plain: FusionResult) -> None:
    assert FusionOptions().restore == "none"
    assert plain.restorations == {}
    assert plain.record["restoration"] == {}
    assert "restored" not in plain.fused.meta["description"]


def test_the_moving_volume_is_fused_restored_and_kept_as_it_was(
    patient: Path, plain: FusionResult, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    result = fused(patient, "moving", output)
    assert torch.equal(result.moving_registered.as_tensor(), plain.moving_registered.as_tensor())
    assert torch.equal(result.fixed_normalized.as_tensor(), plain.fixed_normalized.as_tensor())
    assert result.moving_window == plain.moving_window
    assert not torch.equal(result.moving_normalized.as_tensor(), plain.moving_normalized.as_tensor())
    assert float(result.moving_normalized[result.inside == 0].max()) == 0.0
    assert torch.equal(result.fused.as_tensor()[result.inside == 0], plain.fused.as_tensor()[result.inside == 0])
    assert nib.load(output / "fused.nii.gz").header["descrip"].item() == b"registration not judged; moving restored"
    record = json.loads((output / "run.json").read_text())
    told = record["restoration"]["moving"]
    assert list(record["restoration"]) == ["moving"]
    assert told["units"] == "stored values"
    assert told["rms"] > 0.0
    assert abs(told["largest"]) >= told["rms"]
    assert len(told["weights_sha256"]) == 64
    assert record["options"]["restore"] == "moving"
    assert any(note.startswith("the moving volume was restored before it was fused: RMS") for note in record["notes"])
    written = nib.load(output / "moving_registered.nii.gz").get_fdata()
    assert np.allclose(written, plain.moving_registered.numpy()[0], rtol=1e-4, atol=1e-4)


def test_the_fixed_volume_can_be_restored_and_both(patient: Path, plain: FusionResult) -> None:
    fixed, both = fused(patient, "fixed"), fused(patient, "both")
    assert list(fixed.restorations) == ["fixed"]
    assert list(both.restorations) == ["fixed", "moving"]
    assert torch.equal(fixed.fixed.as_tensor(), plain.fixed.as_tensor())
    assert not torch.equal(fixed.fixed_normalized.as_tensor(), plain.fixed_normalized.as_tensor())
    assert torch.equal(fixed.moving_normalized.as_tensor(), plain.moving_normalized.as_tensor())
    assert torch.equal(both.fixed_normalized.as_tensor(), fixed.fixed_normalized.as_tensor())
    assert both.fused.meta["description"] == "registration not judged; fixed restored; moving restored"


def test_the_command_says_what_changed(patient: Path, tmp_path: Path) -> None:
    files, still = (patient / "t1.nii.gz", patient / "pet.nii.gz"), ("--registration", "none", "--method", "max")
    done = run("fuse", *files, "-o", tmp_path / "out", *still, "--restore", "moving")
    assert done.exit_code == 0
    assert "Restored the moving volume: RMS change " in done.stdout
    assert "Restored the fixed" not in done.stdout


def test_the_preview_tells_of_it(patient: Path, plain: FusionResult) -> None:
    result = fused(patient, "moving")
    words = {}
    for name, each in (("none", plain), ("moving", result)):
        figure = Figure()
        _caption(figure, each)
        words[name] = [text.get_text() for text in figure.texts]
    line = f"moving restored before fusing: {result.restorations['moving'].in_words}"
    assert line in words["moving"]
    assert not any("restored" in text for text in words["none"])


def test_words_fit_a_nifti_header() -> None:
    longest = described("registration FAIL, estimated error 12.3 mm", ("fixed", "moving"))
    assert longest == "registration FAIL, estimated error 12.3 mm; fixed restored; moving restored"
    assert len(longest) <= 79


def test_dicom_says_what_was_restored_of_the_fused_volume_alone() -> None:
    told = DicomDescription("max", "1", "rigid", "MR", "PT", "registration PASS", restored=("moving",))
    assert told.text.endswith("; registration PASS; moving restored")
    assert told.verdict == "registration PASS"
    assert "restored" not in DicomDescription("max", "1", "rigid", "MR", "PT").text


def test_other_roles_are_refused() -> None:
    with pytest.raises(OptionError, match="restore is 'all'; choose one of none, fixed, moving, both"):
        FusionOptions(restore="all")
