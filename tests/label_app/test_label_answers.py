"""What a client may ask for, and what it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cli_runs import refusal, run
from fastapi import HTTPException
from fusion_fixtures import Fused

from medfuse.errors import NetworkError, OptionError, OutputError, RegistrationError, UnreadableFileError
from medfuse.label_app.answers import answer, measured
from medfuse.label_app.images import NotStoredError
from medfuse.label_app.parameters import fusion_request, trained_weights
from medfuse.label_app.refusals import for_clients, refusals
from medfuse.label_app.stored_forms import write_form


def test_parameters_become_options(tmp_path: Path) -> None:
    given = {
        "image": "a",
        "moving": "b",
        "client_id": "viewer",
        "method": "max",
        "plane": "coronal",
        "registration": "affine",
        "seed": 5,
        "accept_registration": True,
        "fixed_window": "0,80",
        "form": "rgb",
        "metrics": False,
    }
    asked = fusion_request(given, tmp_path)
    assert (asked.form, asked.metrics) == ("rgb", False)
    options = asked.options
    assert (options.method, options.plane, options.fixed_window) == ("max", "coronal", "0,80")
    assert (options.registration.method, options.registration.seed, options.registration.accept) == ("affine", 5, True)
    assert options.output is None


def test_nothing_asked_for_is_the_default(tmp_path: Path) -> None:
    asked = fusion_request({"moving": "b", "plane": "", "save_label": False}, tmp_path)
    assert (asked.form, asked.metrics) == ("float32", True)
    assert (asked.options.plane, asked.options.weights, asked.options.registration.method) == (
        "auto",
        "default",
        "rigid",
    )
    assert not asked.options.registration.accept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"transforms": ["a.tfm"]}, "there is no parameter 'transforms'"),
        ({"output": "here"}, "there is no parameter 'output'"),
        ({"landmarks": "a.csv"}, "there is no parameter 'landmarks'"),
        ({"weights": "a.safetensors"}, "weights is 'a.safetensors'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"registration": "elastic"}, "registration is 'elastic'"),
        ({"accept_registration": "yes"}, "accept_registration is 'yes'"),
        ({"save_label": True}, "is no label"),
        ({"fixed_modality": "XR"}, "modality is 'XR'"),
    ],
)
def test_what_is_not_allowed_is_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        fusion_request({"moving": "b", **given}, tmp_path)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotStoredError("no\nimage"), 404),
        (OptionError("no image"), 400),
        (UnreadableFileError("no image"), 422),
        (RegistrationError("no image"), 422),
        (NetworkError("no image"), 502),
        (OutputError("no image"), 500),
        (MemoryError(), 507),
    ],
)
def test_each_kind_of_error_has_its_status_and_one_line(error: Exception, status: int) -> None:
    with pytest.raises(HTTPException) as refused, refusals():
        raise error
    assert refused.value.status_code == status
    assert refused.value.detail == "no image" or isinstance(error, MemoryError)


def test_a_client_reads_ids_and_parameters_in_place_of_paths_and_options() -> None:
    said = (
        "/data/a.nii.gz: it is off; give other volumes, --transform or --landmarks, or go on with --accept-registration"
    )
    with pytest.raises(RegistrationError) as refused, for_clients({Path("/data/a.nii.gz"): "a"}):
        raise RegistrationError(said)
    assert str(refused.value) == "a: it is off; give other images, or set accept_registration"


def test_trained_weights_are_taken_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(NotStoredError, match="nothing has been trained here yet"):
        fusion_request({"weights": "trained"}, tmp_path)
    trained_weights(tmp_path).parent.mkdir()
    trained_weights(tmp_path).touch()
    assert fusion_request({"weights": "trained"}, tmp_path).options.weights == str(trained_weights(tmp_path))


def test_an_answer_is_json_with_verdict_and_metrics(fused_pet: Fused) -> None:
    told = answer(fused_pet.result, ("a", "b"), {"form": "float32"}, metrics=True)
    verdict = fused_pet.result.registration.verdict
    assert verdict is not None
    assert told["verdict"]["grade"] == verdict.grade
    assert told["verdict"]["estimated_error_mm"] == verdict.estimated_error_mm
    assert (told["fixed"]["id"], told["moving"]["id"], told["moving"]["modality"]) == ("a", "b", "PT")
    assert 0.0 < told["metrics"]["SSIM_worst"] < 1.0
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert str(fused_pet.folder) not in json.dumps(told)


def test_numbers_without_a_word_in_json_become_null(fused_pet: Fused) -> None:
    record = {**fused_pet.result.record, "odd": [float("nan"), {"far": float("inf")}]}
    told = answer(replace(fused_pet.result, record=record), ("a", "b"), {}, metrics=False)
    assert told["record"]["odd"] == [None, {"far": None}]
    assert told["metrics"] == {}


def test_better_pictures_have_better_metrics(fused_ct: Fused) -> None:
    result = fused_ct.result
    blank = replace(result, fused=result.fused * 0.0)
    assert measured(blank)["SSIM_worst"] < measured(result)["SSIM_worst"]


def test_gray_has_three_equal_colors(fused_ct: Fused, tmp_path: Path) -> None:
    assert write_form(fused_ct.result, "rgb", tmp_path / "a.nii.gz") == {"form": "rgb", "per_unit": 255}
    stored = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    assert np.array_equal(stored["R"], stored["B"])
    np.testing.assert_allclose(stored["R"] / 255, fused_ct.result.fused[0].numpy(), atol=0.51 / 255)


def test_the_command_writes_an_app_and_keeps_what_is_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    result = run("label-app", folder)
    assert result.exit_code == 0
    assert f"monailabel start_server --host 127.0.0.1 --app {folder}" in result.stdout
    assert "from medfuse.label_app.app import FusionApp" in (folder / "main.py").read_text(encoding="utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "trained.safetensors").touch()
    assert "exists" in refusal("label-app", folder)
    assert run("label-app", folder, "--overwrite").exit_code == 0
    assert (folder / "model" / "trained.safetensors").exists()
