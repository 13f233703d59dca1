"""The wheel carries weights and bundles, and works where there is nothing but the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shipped_bundles import NAMES

ROOT = Path(__file__).resolve().parents[2]

# What is run beside the unpacked wheel: list, get, and the weights of what was written.
VISIT = """
import json, sys
import torch
import medfuse
from medfuse.cli.main import app
app(["bundle", "list"], standalone_mode=False)
app(["bundle", "get", "cddfuse_fast", "bundles"], standalone_mode=False)
state = torch.load("bundles/cddfuse_fast/models/model.pt", weights_only=True)
print(json.dumps({"home": medfuse.__file__, "parameters": sum(weight.numel() for weight in state.values())}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy: building leaves folders in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT / "medfuse", source / "medfuse", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        str(source),
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
    ]
    built = subprocess.run(command, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_weights_and_bundles(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    sources = ROOT / "medfuse"
    for path in [*sources.glob("networks/pretrained/*"), *sources.rglob("bundles/sources/**/*")]:
        if path.is_file():
            assert path.relative_to(ROOT).as_posix() in held
    assert {f"medfuse/bundles/sources/{name}/bundle.json" for name in NAMES} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not any(name.startswith("tests/") for name in held)


def test_a_bundle_is_had_where_only_the_wheel_is(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", VISIT],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(site)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["home"]).is_relative_to(site)
    assert found["parameters"] == 135_104
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()[: len(NAMES)]] == NAMES
    license_text = (tmp_path / "elsewhere" / "bundles" / "cddfuse_fast" / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in license_text
