"""``medfuse train``: options reach the library, errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from medfuse.cli.phantom_pairs import phantom_pairs
from medfuse.cli.train import train
from medfuse.networks import read_provenance

TINY = {
    "network": {"channels": 8, "heads": 2, "blocks": 1, "detail_nodes": 1},
    "stage_one_steps": 1,
    "stage_two_steps": 50,
    "batch_size": 1,
    "patch_size": 41,
}


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    for name, image in zip("ab", noise, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    entries = [{"set": "CT-MRI", "case": "1", "a": "a.png", "b": "b.png"}]
    (tmp_path / "splits.json").write_text(json.dumps({"train": entries, "validation": entries}))
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_options_reach_the_run_and_its_provenance(slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medfuse.training.presets.read_config", lambda _name: {"tiny": TINY})
    output = str(slices / "weights file.safetensors")
    words = ["--preset", "tiny", "--device", "cpu", "--threads", "1", "--seed", "3", "--stage-two-steps", "0"]
    code, printed = run(str(slices), "-o", output, *words)
    assert code == 0, printed
    assert "CT-MRI: edge_transfer" in printed
    provenance = read_provenance(Path(output))
    assert provenance["command"] == f"medfuse train {slices.name} -o 'weights file.safetensors' {' '.join(words)}"
    assert provenance["options"]["seed"] == 3
    assert provenance["options"]["stage_two_steps"] == 0
    assert [row["step"] for row in provenance["record"]["curve"]] == [1]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--preset", "fast"], "error: preset is 'fast'; choose one of cddfuse_fast_cpu, "),
        (["--seed", "-1"], "error: seed is -1; give a whole number of at least 0"),
        (["--device", "abacus"], "error: there is no device 'abacus' here"),
    ],
)
def test_errors_are_one_line(slices: Path, words: list[str], problem: str) -> None:
    code, printed = run(str(slices), "-o", str(slices / "weights.safetensors"), *words)
    assert code == 1
    assert printed.strip().startswith(problem)
    assert len(printed.strip().splitlines()) == 1


def test_a_file_of_options_goes_before_the_recipe_and_flags_before_the_file(
    slices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**TINY, "stage_two": {"gradient": 7.0}}
    monkeypatch.setattr("medfuse.training.presets.read_config", lambda _name: {"tiny": recipe})
    config = slices / "mine.json"
    config.write_text(json.dumps({"seed": 4, "stage_two_steps": 9, "stage_two": {"intensity": 2.0}}))
    output = slices / "mine.safetensors"
    words = ["--preset", "tiny", "--config", str(config), "--device", "cpu", "--stage-two-steps", "0"]
    code, printed = run(str(slices), "-o", str(output), *words, "--logs", str(slices / "logs"))
    assert code == 0, printed
    options = read_provenance(output)["options"]
    assert (options["seed"], options["stage_two_steps"]) == (4, 0)
    assert (options["stage_two"]["gradient"], options["stage_two"]["intensity"]) == (7.0, 2.0)
    assert "--config mine.json" in str(read_provenance(output)["command"])
    assert (slices / "logs" / "steps.jsonl").is_file()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "not a JSON object of options"),
        ("{", "not a JSON object"),
        ('{"steps": 1}', "is 'steps'; choose one of"),
    ],
)
def test_a_wrong_file_of_options_is_refused(slices: Path, text: str, problem: str) -> None:
    (slices / "mine.json").write_text(text)
    code, printed = run(str(slices), "-o", str(slices / "w.safetensors"), "--config", str(slices / "mine.json"))
    assert code == 1
    assert problem in printed


def test_check_prints_what_it_finds_and_fails_where_pairs_cannot_be_used(slices: Path) -> None:
    code, printed = run(str(slices), "--check")
    assert "CT-MRI: 2 pairs of 48 x 48" in printed
    assert "problem: 1 pairs to judge by are also among those to train on" in printed
    assert code == 1


def test_check_of_good_pairs_succeeds(slices: Path) -> None:
    for name in "cd":
        Image.fromarray(np.random.default_rng(ord(name)).integers(0, 256, (48, 48), dtype=np.uint8)).save(
            slices / f"{name}.png"
        )
    entries = [
        {"set": "CT-MRI", "case": first, "a": f"{first}.png", "b": f"{second}.png"} for first, second in ("ab", "cd")
    ]
    (slices / "splits.json").write_text(json.dumps({"train": entries[:1], "validation": entries[1:]}))
    code, printed = run(str(slices), "--check")
    assert code == 0, printed
    assert "problem" not in printed


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "error: no --output is given; name the weights file"),
        (["-o", "w.safetensors", "--mlflow", "sqlite:///runs.db"], "error: --mlflow is given without --logs"),
    ],
)
def test_what_is_missing_is_named(slices: Path, words: list[str], problem: str) -> None:
    code, printed = run(str(slices), *words)
    assert code == 1
    assert printed.startswith(problem)


def test_phantom_pairs_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write(*arguments: object) -> dict[str, int]:
        written.append(arguments)
        return {"train": 3, "validation": 1}

    monkeypatch.setattr("medfuse.training.phantom_pairs.write_phantom_pairs", write)
    app = typer.Typer()
    app.command()(phantom_pairs)
    result = CliRunner().invoke(app, [str(tmp_path / "pairs"), "--heads", "7", "--slices", "2", "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert "Wrote 3 pairs to train on and 1 to judge by" in result.output
    ((folder, options, overwrite, _progress),) = written
    assert (folder, overwrite) == (tmp_path / "pairs", False)
    assert (options.heads, options.slices, options.seed) == (7, 2, 5)
