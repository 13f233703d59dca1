"""The benchmark of speed: every form in its own process, errors from float64, and growth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from cli_runs import refusal, run

from medfuse.errors import OptionError
from medfuse.evaluation import SpeedOptions
from medfuse.evaluation.speed import memory_exponent
from medfuse.evaluation.speed_forms import FAST, PLAIN, PYTORCH, Form
from medfuse.evaluation.speed_tables import speed_markdown

WRONG_FORM = "def plain_form(network):\n    return lambda image: network(image) + 0.25\n"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    output = tmp_path_factory.mktemp("speed") / "out"
    plain = output.parent / "plain.py"
    plain.write_text(WRONG_FORM)
    forms = ("--form", PLAIN, "--form", PYTORCH, "--form", FAST)
    done = run(
        "benchmark", "speed", "-o", output, *forms, "--size", "24", "--repeats", "1", "--plain", plain, "--no-growth"
    )
    assert done.exit_code == 0, done.output
    return json.loads((output / "speed.json").read_text()), output


def test_errors_are_those_of_each_form(result: tuple[dict, Path]) -> None:
    forms = result[0]["forms"]
    assert forms[PYTORCH]["largest_error"] < 1e-5
    assert math.isclose(forms[PLAIN]["mean_error"], 0.25, abs_tol=1e-4)
    assert forms[FAST]["largest_error"] is None, "another network"


def test_ratios_are_to_the_plain_form(result: tuple[dict, Path]) -> None:
    forms = result[0]["forms"]
    assert forms[PLAIN]["times_faster_than plain"] == 1.0
    (theirs,), (ours,) = forms[PLAIN]["seconds"], forms[FAST]["seconds"]
    assert math.isclose(forms[FAST]["times_faster_than plain"], theirs / ours)


def test_files_tell_it_whole(result: tuple[dict, Path]) -> None:
    names = {path.name for path in result[1].iterdir()}
    assert names == {"speed.json", "speed.md", "speed.png", "run.json"}
    table = (result[1] / "speed.md").read_text()
    assert table.count("\n| ") == 5
    assert "| cddfuse-fast |" in table


def test_growth_is_fitted_and_shown() -> None:
    growth = {"sides": [64, 128], "seconds": [0.1, 0.4], "time_exponent": 1.0, "memory_exponent": 0.97}
    shown = speed_markdown(
        {"size": 8, "threads": 1, "kernels": None, "image": "phantom", "forms": {}, "growth": {"PyTorch": growth}}
    )
    assert "| PyTorch | 0.10 | 0.40 | 1.00 | 0.97 |" in shown


def test_what_a_process_holds_free_does_not_bend_the_growth_of_memory() -> None:
    pixels = [64.0**2, 128.0**2, 256.0**2, 512.0**2]
    assert memory_exponent(pixels, [1.0, 14.0, 60.0, 240.0]) == pytest.approx(1.0)
    assert memory_exponent(pixels[:2], [4.0, 16.0]) == pytest.approx(1.0)


def test_memory_is_that_of_the_process_alone() -> None:
    kept = torch.ones(300_000_000 // 4)  # what this process has does not count
    form = Form(FAST, 1, None)
    small, large = (form.measure(torch.rand(1, 2, side, side)).peak_mb for side in (16, 512))
    form.close()
    assert kept.sum() > 0
    assert small < large


@pytest.mark.parametrize("wrong", [{"forms": ("fastest",)}, {"size": 1}, {"repeats": 0}, {"growth": (64,)}])
def test_wrong_options_are_refused(wrong: dict) -> None:
    with pytest.raises(OptionError):
        SpeedOptions(**wrong)


def test_a_missing_plain_file_is_refused_and_nothing_written(tmp_path: Path) -> None:
    line = refusal(
        "benchmark", "speed", "-o", tmp_path / "out", "--form", PLAIN, "--plain", tmp_path / "none.py", "--size", "16"
    )
    assert "--plain" in line
    assert not list(tmp_path.iterdir())
