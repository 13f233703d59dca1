"""``medfuse phantom``, ``demo`` and ``info``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from cli_runs import everything, refusal, run

import medfuse
from medfuse.networks.native import instruction_set
from medfuse.phantom import Phantom
from medfuse.registration import rigid
from medfuse.registration.native import usable_loops
from medfuse.registration.presets import Preset, load_preset


def coarse(name: str) -> Preset:
    preset = load_preset(name)
    return replace(preset, levels=preset.levels[:1], kept=(2,))


def test_a_phantom_is_written_with_its_truth(tmp_path: Path) -> None:
    options = ("--seed", "3", "--rotation-deg", "2", "--translation-mm", "1", "--profile", "small")
    result = run("phantom", tmp_path / "head", *options)
    assert result.exit_code == 0
    assert result.stdout == f"Wrote MR_T1, MR_T2, CT, PT, NM with truth.json to {tmp_path / 'head'}.\n"
    assert result.stderr == ""
    truth = json.loads((tmp_path / "head" / "truth.json").read_text(encoding="utf-8"))
    assert (truth["seed"], truth["options"]["rotation_deg"], truth["options"]["translation_mm"]) == (3, 2.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--profile", "tiny"), "profile is 'tiny'; choose one of small, standard"),
        (("--seed", "-1"), "seed is -1"),
        (("--rotation-deg", "90"), "rotation_deg is 90; give 0 to 45"),
    ],
)
def test_a_phantom_that_cannot_be_made_is_refused(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in refusal("phantom", tmp_path / "head", *arguments)
    assert everything(tmp_path) == set()


def made_at_once(monkeypatch: pytest.MonkeyPatch, phantom: Phantom) -> None:
    monkeypatch.setattr(medfuse, "make_phantom", lambda *_args: phantom)
    monkeypatch.setattr(rigid, "load_preset", coarse)


def test_the_demo_ends_by_saying_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch, phantom_small: Phantom, tmp_path: Path
) -> None:
    made_at_once(monkeypatch, phantom_small)
    result = run("demo", "-o", tmp_path / "demo", "--profile", "small", "--method", "max")
    assert result.exit_code == 0, result.stderr
    patient, moved, left, judged, fused, opened = result.stdout.splitlines()
    assert patient.startswith("The patient: MR_T1, MR_T2, CT, PT, NM, each moved by a known transform, in ")
    (known_mm,) = map(float, re.findall(r"(\d+\.\d+) mm", moved))
    mean_mm, largest_mm = map(float, re.findall(r"(\d+\.\d+) mm", left))
    assert known_mm > 5
    assert mean_mm < known_mm
    assert mean_mm <= largest_mm
    assert re.search(r"registration (PASS|WARN), estimated error \d+\.\d mm", judged)
    assert "Not a medical device" in fused
    assert opened == f"Open {tmp_path / 'demo' / 'MR_CT' / 'preview.png'}"
    assert (tmp_path / "demo" / "MR_CT" / "preview.png").is_file()
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"patient", "MR_CT"}
    assert "exists" in refusal("demo", "-o", tmp_path / "demo", "--profile", "small", "--method", "max")


@pytest.mark.parametrize("arguments", [("--method", "magic"), ("--profile", "tiny"), ("--moving", "US")])
def test_a_demo_that_cannot_be_made_writes_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "choose one of" in refusal("demo", "-o", tmp_path / "demo", *arguments)
    assert everything(tmp_path) == set()


def test_info_reads_like_a_list() -> None:
    result = run("info")
    assert result.exit_code == 0
    names = [line.partition(": ")[0] for line in result.stdout.splitlines()]
    assert names[:4] == ["medfuse", "python", "platform", "packages"]
    assert "planes: auto, axial, coronal, sagittal" in result.stdout.splitlines()


def pyproject_extras() -> list[str]:
    return metadata.metadata("medfuse").get_all("Provides-Extra") or []


def test_info_as_json_says_the_same() -> None:
    described = json.loads(run("info", "--json").stdout)
    assert described["medfuse"] == medfuse.__version__
    assert described["modalities"] == ["MR", "CT", "PT", "NM"]
    assert isinstance(described["nvidia_driver"], bool)
    assert set(described["extras"]) == set(pyproject_extras())
    lines = run("info").stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(described)


def test_without_a_command_help_is_shown() -> None:
    result = run()
    assert "Not a medical device" in " ".join(result.output.split())
    for command in ("fuse", "phantom", "demo", "info"):
        assert command in result.output


def test_info_tells_which_kernels_run() -> None:
    described = json.loads(run("info", "--json").stdout)
    assert described["kernels"].split(":")[0] == (instruction_set() or "not built")
    assert described["registration_loops"].split(":")[0] == ("compiled" if usable_loops() else "not built")
