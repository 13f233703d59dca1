"""What the verdict on a registration does to a run: it stops it, or it is written into every output."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from cli_runs import refusal, run
from fusion_fixtures import Fused
from PIL import Image

from medfuse.errors import RegistrationError
from medfuse.geometry import Matrix
from medfuse.io.transform_files import write_transform_file
from medfuse.io.volume_files import read_volume
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.transforms.load import load_volume
from medfuse.transforms.register import RegisterToFixedd

VOLUMES = ("fused.nii.gz", "moving_registered.nii.gz")


@pytest.fixture
def wrong(patient: Path, fused_ct: Fused, tmp_path: Path) -> RegistrationOptions:
    """Return options that put the CT 25 mm from where it belongs, and have that judged."""
    matrix: Matrix = fused_ct.result.registration.fixed_to_moving_ras.copy()
    matrix[2, 3] += 25.0
    write_transform_file(matrix, tmp_path / "wrong.tfm")
    return RegistrationOptions(method="verify", transforms=(tmp_path / "wrong.tfm",))


def verdict_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))["registration"]["verdict"]


def description_of(path: Path) -> str:
    return bytes(nib.load(path).header["descrip"]).rstrip(b"\0").decode("ascii")


@pytest.mark.parametrize("name", ["ct", "pet"])
def test_a_right_registration_passes_and_says_so_everywhere(name: str, fused_ct: Fused, fused_pet: Fused) -> None:
    fused = {"ct": fused_ct, "pet": fused_pet}[name]
    verdict = verdict_of(fused.folder)
    assert verdict["grade"] == "pass", verdict["reasons"]
    assert 0.0 < verdict["estimated_error_mm"] < 3.0
    words = f"registration PASS, estimated error {verdict['estimated_error_mm']:.1f} mm"
    assert fused.result.registration.in_words == words
    for file in (*VOLUMES, *(["fused_color.nii.gz"] if name == "pet" else [])):
        assert description_of(fused.folder / file) == words
    assert not any("doubtful" in note or "wrong" in note for note in fused.result.record["notes"])


def test_a_wrong_registration_stops_with_a_reason_and_a_picture(
    patient: Path, wrong: RegistrationOptions, tmp_path: Path
) -> None:
    options = FusionOptions(output=tmp_path / "out" / "fused", method="max", registration=wrong)
    (tmp_path / "out").mkdir()
    with pytest.raises(RegistrationError) as refused:
        fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", options)
    said = str(refused.value)
    assert "\n" not in said
    assert said.startswith("registration FAIL: estimated error 2")
    assert "look at fused.registration.png" in said
    assert "--accept-registration" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fused.registration.png"]
    picture = np.asarray(Image.open(tmp_path / "out" / "fused.registration.png").convert("L"))
    assert picture.shape[0] > 800
    assert picture.std() > 20.0


def test_the_command_line_stops_in_one_line(patient: Path, wrong: RegistrationOptions, tmp_path: Path) -> None:
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", "--method", "max")
    given = ("--registration", "verify", "--transform", wrong.files[0])
    assert "registration FAIL" in refusal(*command, *given)
    assert not (tmp_path / "out").exists()
    accepted = run(*command, *given, "--accept-registration")
    assert accepted.exit_code == 0
    assert "Registration FAIL" in accepted.stdout
    assert any("judged wrong and was accepted" in line for line in accepted.stderr.splitlines())
    assert verdict_of(tmp_path / "out")["grade"] == "fail"
    assert description_of(tmp_path / "out" / "fused.nii.gz").startswith("registration FAIL, estimated error 2")


def test_nothing_is_drawn_where_nothing_is_written(patient: Path, wrong: RegistrationOptions, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RegistrationError, match=r"registration FAIL.*; give other volumes"):
        fuse_volumes(
            read_volume(patient / "t1.nii.gz"),
            read_volume(patient / "ct.nii.gz"),
            FusionOptions(method="max", registration=wrong, fixed_modality="MR", moving_modality="CT"),
        )
    assert sorted(tmp_path.iterdir()) == before


def test_a_doubtful_registration_is_fused_with_a_note(patient: Path, fused_ct: Fused, tmp_path: Path) -> None:
    matrix = fused_ct.result.registration.fixed_to_moving_ras.copy()
    matrix[0, 3] += 4.5
    write_transform_file(matrix, tmp_path / "near.txt")
    how = RegistrationOptions(method="verify", transforms=(tmp_path / "near.txt",))
    result = fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", FusionOptions(method="max", registration=how))
    assert result.registration.in_words.startswith("registration WARN")
    assert result.registration.verdict is not None
    assert result.registration.verdict.estimated_error_mm == pytest.approx(4.5, abs=1.5)
    assert any(note.startswith("the registration is doubtful: ") for note in result.record["notes"])


def test_none_is_not_judged(patient: Path, wrong: RegistrationOptions) -> None:
    blind = replace(wrong, method="none")
    options = FusionOptions(method="max", registration=blind)
    result = fuse_volumes(patient / "t1.nii.gz", patient / "ct.nii.gz", options)
    assert result.registration.verdict is None
    assert result.registration.in_words == "registration not judged"


def test_the_transform_refuses_too_and_can_be_told_not_to(patient: Path, wrong: RegistrationOptions) -> None:
    pair = {"fixed": load_volume(patient / "t1.nii.gz"), "moving": load_volume(patient / "ct.nii.gz")}
    with pytest.raises(RegistrationError, match=r"registration FAIL.*set accept"):
        RegisterToFixedd(options=wrong)(pair)
    done = RegisterToFixedd(options=replace(wrong, accept=True))(pair)
    assert done["moving"].meta["description"].startswith("registration FAIL")
