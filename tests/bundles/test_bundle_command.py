"""``medfuse bundle``: list, get and run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import refusal, run

from medfuse.bundles import list_bundles
from medfuse.cli.bundle import parse_overrides
from medfuse.errors import OptionError


def test_bundles_are_listed_with_what_they_are_for() -> None:
    result = run("bundle", "list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"{each.name} {each.version}: {each.title}" for each in list_bundles()]
    assert "Fusion of MR and PET volumes of one head" in result.stdout


def test_the_list_loads_no_tensor_library() -> None:
    program = (
        "import sys; from medfuse.cli.main import app; app(['bundle', 'list'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0


def test_a_bundle_is_written_and_runs(patient: Path, tmp_path: Path) -> None:
    written = run("bundle", "get", "cddfuse_fast", tmp_path / "bundles")
    bundle = tmp_path / "bundles" / "cddfuse_fast"
    assert written.exit_code == 0
    assert written.stdout == f"Wrote {bundle}; its docs/README.md says how to use it.\n"
    files = ("--fixed", patient / "ct.nii.gz", "--moving", patient / "t1.nii.gz", "--output_dir", tmp_path / "out")
    done = run("bundle", "run", bundle, *files, "--registration::method", "none", "--device=cpu")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "fused.nii.gz").is_file()


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, patient: Path) -> None:
    assert "bundle is 'nothing'; choose one of cddfuse_fast, " in refusal("bundle", "get", "nothing", tmp_path)
    assert "config is 'guess'" in refusal("bundle", "run", "cddfuse_fast", "--config", "guess")
    assert "'--fixed' is not understood" in refusal("bundle", "run", "cddfuse_fast", "--fixed")
    result = run("bundle", "run", "cddfuse_mr_pet", "--fixed", patient / "t1.nii.gz", "--moving", patient / "ct.nii.gz")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: the volumes are MR and CT, this bundle is for MR and PT; ")


def test_overrides_are_json_or_text() -> None:
    words = ["--epochs", "2", "--fixed=t1.nii.gz", "--expected", json.dumps(["MR", "CT"]), "--device", "cpu"]
    words += ["--registration::accept", "true", "--expression", "$1 == 2"]
    assert parse_overrides(words) == {
        "epochs": 2,
        "fixed": "t1.nii.gz",
        "expected": ["MR", "CT"],
        "device": "cpu",
        "registration::accept": True,
        "expression": "$1 == 2",
    }


@pytest.mark.parametrize("words", [["fixed", "t1.nii.gz"], ["--fixed"], ["--fixed", "a", "b"]], ids=" ".join)
def test_words_that_are_no_pairs_are_refused(words: list[str]) -> None:
    with pytest.raises(OptionError, match="as --key value"):
        parse_overrides(words)
