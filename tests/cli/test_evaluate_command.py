"""``medfuse evaluate``: one case by its files, or a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import everything, refusal, run
from made_slices import picture, save


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    pictures = [picture(0, 2), picture(1, 8)]
    pictures.append(np.maximum(*pictures))
    return tuple(save(one, tmp_path / f"{name}.png") for name, one in zip("abf", pictures, strict=True))


def given(files: tuple[Path, Path, Path]) -> list[str | Path]:
    return [word for pair in zip(("--first", "--second", "--fused"), files, strict=True) for word in pair]


def test_one_case_is_scored(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    result = run("evaluate", *given(files), "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    names = [line.partition(":")[0] for line in lines[:-1]]
    assert names == ["VIF_worst", "Qabf_worst", "SSIM_worst", "lost_worst", "invented"]
    assert result.stderr == ""
    assert everything(tmp_path / "out") == {"metrics.csv", "metrics.json", "metrics.png", "run.json"}


def test_a_list_of_cases_is_scored(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    lines = ["case,first,second,fused", "1,a.png,b.png,f.png", "2,a.png,b.png,a.png"]
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    result = run("evaluate", "--list", tmp_path / "cases.csv", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"All measures, case by case, are in {tmp_path / 'out' / 'metrics.csv'}."
    assert "the list has only 2 cases" in result.stderr


def test_what_cannot_be_scored_is_refused(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    before = everything(tmp_path)
    out = ("-o", tmp_path / "out")
    for words in ([], given(files)[:4], [*given(files), "--list", tmp_path / "cases.csv"]):
        assert "give --first, --second and --fused, or --list alone" in refusal("evaluate", *words, *out)
    assert "does not exist" in refusal("evaluate", "--list", tmp_path / "cases.csv", *out)
    assert "does not exist" in refusal("evaluate", *given((*files[:2], tmp_path / "none.png")), *out)
    save(picture(0, 2)[:44], files[2])
    assert "pictures of one size" in refusal("evaluate", *given(files), *out)
    assert everything(tmp_path) == before
