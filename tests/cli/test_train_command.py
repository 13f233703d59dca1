"""``medfuse train``: options reach the library, errors are one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

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
    assert provenance["command"] == f"medfuse train {slices} -o '{output}' {' '.join(words)}"
    assert provenance["options"]["seed"] == 3
    assert provenance["options"]["stage_two_steps"] == 0
    assert [row["step"] for row in provenance["record"]["curve"]] == [1]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--preset", "fast"], "error: preset is 'fast'; choose one of cddfuse_cpu, cddfuse_cpu_last_leg, published"),
        (["--seed", "-1"], "error: seed is -1; give a whole number of at least 0"),
        (["--device", "abacus"], "error: there is no device 'abacus' here"),
    ],
)
def test_errors_are_one_line(slices: Path, words: list[str], problem: str) -> None:
    code, printed = run(str(slices), "-o", str(slices / "weights.safetensors"), *words)
    assert code == 1
    assert printed.strip().startswith(problem)
    assert len(printed.strip().splitlines()) == 1
