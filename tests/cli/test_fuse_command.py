"""``medfuse fuse``: what it prints, what it writes, which options it hands on."""

from __future__ import annotations

import json
import logging
import re
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from cli_runs import QUICK, everything, refusal, run
from typer.testing import CliRunner

from medfuse.cli.main import app
from medfuse.errors import OptionError
from medfuse.io.transform_files import write_transform_file


def test_two_files_become_a_result(patient: Path, tmp_path: Path) -> None:
    result = run("fuse", patient / "t1.nii.gz", patient / "pet.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 0
    said = result.stdout.splitlines()
    assert said[0].startswith("Fused MR with PT by max in ")
    assert re.fullmatch(r"Registration (PASS, estimated error \d+\.\d mm|not judged)\.", said[1])
    assert said[2] == f"Look at {tmp_path / 'out' / 'preview.png'}; the volume is {tmp_path / 'out' / 'fused.nii.gz'}."
    assert (tmp_path / "out" / "preview.png").is_file()
    assert (tmp_path / "out" / "fused_color.nii.gz").is_file()
    assert all(line.startswith("note: ") for line in result.stderr.splitlines())


def shifted(folder: Path, name: str, along_mm: float) -> Path:
    """Write a transform that shifts along z."""
    matrix = np.eye(4)
    matrix[2, 3] = along_mm
    write_transform_file(matrix, folder / name)
    return folder / name


def test_every_option_is_handed_on(patient: Path, tmp_path: Path) -> None:
    options = [
        *("--modality", "mr", "NM", "--window", "full", "0,7.5", "--registration", "none", "--method", "average"),
        *("--plane", "coronal", "--palette", "pet", "--device", "cpu", "--slices-per-batch", "2", "--seed", "7"),
        *("--fixed", "2", "--moving", "NM", "--no-dicom", "--deidentify", "--repeatable-uids"),
        *("--accept-registration", "--restore", "fixed"),
        *("--transform", shifted(tmp_path, "a.tfm", 1.5), "--transform", shifted(tmp_path, "b.txt", 2.0)),
    ]
    assert run("fuse", patient / "t1.nii.gz", patient / "pet.nii.gz", "-o", tmp_path / "out", *options).exit_code == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["options"] == {
        "output": "out",
        "overwrite": False,
        "fixed_modality": "MR",
        "moving_modality": "NM",
        "fixed_window": "full",
        "moving_window": "0,7.5",
        "registration": {
            **{"method": "none", "preset": "head", "seed": 7},
            **{"transforms": ["a.tfm", "b.txt"], "landmarks": None, "accept": True},
        },
        "restore": "fixed",
        "plane": "coronal",
        "method": "average",
        "weights": "default",
        "device": "cpu",
        "keep_remainder": False,
        "slices_per_batch": 2,
        "palette": "pet",
        "fixed_series": "2",
        "moving_series": "NM",
        "write_dicom": False,
        "deidentify": True,
        "repeatable_uids": True,
    }
    assert record["registration"]["fixed_to_moving_ras"][2] == [0.0, 0.0, 1.0, 3.5]
    assert record["windows"]["moving"] == {
        "lower": 0.0,
        "upper": 7.5,
        "units": "stored values",
        "source": "given",
        "stored_as": "HU",
    }


def test_a_window_may_begin_below_zero(patient: Path, tmp_path: Path) -> None:
    result = run(
        *("fuse", patient / "ct.nii.gz", patient / "t1.nii.gz", "-o", tmp_path / "out", *QUICK),
        *("--window", "-100,900", "auto"),
    )
    assert result.exit_code == 0


def test_a_guess_is_said_aloud_in_one_line_each(patient: Path, tmp_path: Path) -> None:
    for name, source in (("a.nii.gz", "t1.nii.gz"), ("b.nii.gz", "ct.nii.gz")):
        (tmp_path / name).symlink_to(patient / source)
    result = run("fuse", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert lines[:2] == [
        "note: the fixed volume does not state its modality; its values look like MR",
        "note: the moving volume does not state its modality; its values look like CT",
    ]
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert [f"note: {note}" for note in record["notes"]] == lines


def test_landmarks_put_the_moving_volume_in_place_and_no_folder_is_told(patient: Path, tmp_path: Path) -> None:
    rows = [
        f"{name},{x},{y},{z},{x},{y},{z + 2}" for name, x, y, z in (("a", 0, 0, 0), ("b", 20, 0, 0), ("c", 0, 20, 5))
    ]
    (tmp_path / "jane").mkdir()
    points = tmp_path / "jane" / "points.csv"
    points.write_text("\n".join(["name,fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z", *rows]))
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    result = run(*command, "--landmarks", points)
    assert result.exit_code == 0
    assert "note: 3 landmarks agree to 0.00 mm" in result.stderr
    text = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    record = json.loads(text)
    np.testing.assert_allclose(np.array(record["registration"]["fixed_to_moving_ras"])[:3, 3], (0, 0, 2), atol=1e-9)
    assert record["options"]["registration"]["landmarks"] == "points.csv"
    assert "jane" not in text


def test_a_bad_transform_is_refused_in_one_line(patient: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("hello")
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert "bad.txt is not a text file" in refusal(*command, "--transform", tmp_path / "bad.txt")
    both = ("--transform", tmp_path / "bad.txt", "--landmarks", tmp_path / "points.csv")
    assert "give one of the two" in refusal(*command, *both)
    assert everything(tmp_path) == {"bad.txt"}


def test_overwrite_replaces_an_earlier_result(patient: Path, tmp_path: Path) -> None:
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", "--register", "none")
    assert run(*command, "--method", "max").exit_code == 0
    first = nib.load(tmp_path / "out" / "fused.nii.gz").get_fdata()
    assert "exists" in refusal(*command, "--method", "average")
    assert run(*command, "--method", "average", "--overwrite").exit_code == 0
    assert not np.array_equal(nib.load(tmp_path / "out" / "fused.nii.gz").get_fdata(), first)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--plane", "oblique"), "plane is 'oblique'; choose one of auto, axial, coronal, sagittal"),
        (
            ("--method", "magic"),
            "method is 'magic'; choose one of auto, cddfuse, cddfuse-fast, unfusing, max, average, laplacian",
        ),
        (
            ("--registration", "elastic"),
            "registration is 'elastic'; choose one of rigid, affine, deformable, verify, none",
        ),
        (("--modality", "MR", "US"), "modality is 'US'; choose one of MR, CT, PT, NM"),
        (("--palette", "jet"), "palette is 'jet'; choose one of hot_iron, pet, hot_metal_blue, pet_20_step"),
        (("--device", "cuda:77"), "there is no device 'cuda:77' here; choose auto or one of cpu"),
        (("--device", "foo"), "there is no device 'foo' here; choose auto or one of cpu"),
        (("--slices-per-batch", "0"), "slices_per_batch is 0; give a whole number of at least 1"),
        (("--window", "brain", "auto"), "there is no MR window named 'brain'; choose auto, LOW,HIGH or one of full"),
        (("--window", "auto", "80,0"), "window '80,0' is not a rising pair of finite numbers"),
        (
            ("--method", "cddfuse", "--weights", "absent.pth"),
            "absent.pth: there is no such weights file; check the path",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_unknown_value_is_refused_in_one_line(
    patient: Path, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert reason in refusal(*command, *arguments)
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("arguments", [(), ("a.nii", "b.nii"), ("a.nii", "b.nii", "-o", "out", "--magic")])
def test_wrong_usage_is_explained(arguments: tuple[str, ...]) -> None:
    result = run("fuse", *arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert "Traceback" not in result.stderr


def test_every_message_is_one_line(monkeypatch: pytest.MonkeyPatch, patient: Path, tmp_path: Path) -> None:
    """Even one that should have none of this in it."""

    def refuse(_path: object) -> None:
        message = "first\nsecond  [red]third[/red] :smile: " + "long " * 100
        raise OptionError(message)

    monkeypatch.setattr("medfuse.transforms.load.read_volume", refuse)
    line = refusal("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert line.startswith("error: first second [red]third[/red] :smile: long long")
    assert line.endswith("long")


def test_too_little_memory_gives_a_hint(monkeypatch: pytest.MonkeyPatch, patient: Path, tmp_path: Path) -> None:
    def out_of_memory(_slices: object) -> None:
        message = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 8.00 GiB"
        raise torch.OutOfMemoryError(message)

    monkeypatch.setattr("medfuse.run.fusion_method", lambda *_args: out_of_memory)
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", "--modality", "MR", "CT")
    monkeypatch.setattr("medfuse.run.Run.note", lambda *_args: None)
    line = refusal(*command, *QUICK)
    assert line == "error: device 'cpu' ran out of memory; try fewer than 4 slices per batch, smaller volumes"
    assert everything(tmp_path) == set()


def test_too_little_memory_elsewhere_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, patient: Path, tmp_path: Path
) -> None:
    def out_of_memory(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("medfuse.steps.register_to_fixed", out_of_memory)
    line = refusal("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert "give smaller volumes" in line
    assert everything(tmp_path) == set()


def test_a_window_that_leaves_no_picture_is_refused(patient: Path, tmp_path: Path) -> None:
    command = ("fuse", patient / "t1.nii.gz", patient / "t1.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert "leaves no picture of the MR volume" in refusal(*command, "--window", "9000,9001", "auto")
    assert everything(tmp_path) == set()


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch, patient: Path, tmp_path: Path) -> None:
    def defect(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("medfuse.steps.register_to_fixed", defect)
    command = ("fuse", patient / "t1.nii.gz", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
    assert everything(tmp_path) == set()


def test_a_command_leaves_the_process_as_it_was(patient: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    refusal("fuse", tmp_path / "absent.nii", patient / "ct.nii.gz", "-o", tmp_path / "out", *QUICK)
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(logging.getLogger("medfuse").handlers) <= 1


def test_profile_shows_time_and_memory_of_every_step(patient: Path, tmp_path: Path) -> None:
    volumes = (patient / "t1.nii.gz", patient / "pet.nii.gz")
    done = run("fuse", *volumes, "-o", tmp_path / "out", *QUICK, "--profile")
    assert done.exit_code == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    peaks = record["peak_memory_mib_by_step"]
    assert all(name in done.stdout for name in peaks)
    assert list(peaks)[:2] == ["read", "register"]
    assert 0.0 < max(peaks.values()) <= record["peak_memory_mib"]["host"]
