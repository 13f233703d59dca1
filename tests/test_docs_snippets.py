"""The Python in the pages runs, and the commands in them are ones that the command line understands."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from torch import nn

from medfuse.cli.main import app
from medfuse.configs import read_config
from medfuse.inferers import method
from medfuse.networks import CDDFuseConfig, build
from medfuse.registration import rigid
from medfuse.registration.presets import Preset, load_preset

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.is_file()
}
COMMANDS = [
    (name, line)
    for name, text in PAGES.items()
    for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("medfuse ")
]


def python_of(page: str) -> str:
    """Return the Python blocks of a page as one program, each line where it stands in the page."""
    program = []
    inside = False
    for line in PAGES[page].splitlines():
        if line.startswith("```"):
            inside = line.strip() == "```python"
            program.append("")
        else:
            program.append(line if inside else "")
    return "\n".join(program)


def one_coarse_level(name: str) -> Preset:
    preset = load_preset(name)
    return replace(preset, levels=preset.levels[:1], kept=(1,), rotation_degrees=0.0)


def small_network(_name: str, _weights: str) -> nn.Module:
    return build("cddfuse", config=CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1))


@pytest.fixture
def folder_of_a_reader(patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where the pages assume, beside ``t1.nii.gz`` and ``ct.nii.gz``.

    What takes long is made short, because other tests show that it works: the search for the transform, and the
    network that slices go through.
    """
    for file in patient.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rigid, "load_preset", one_coarse_level)
    monkeypatch.setattr(method, "build", small_network)


@pytest.mark.usefixtures("folder_of_a_reader")
@pytest.mark.parametrize("page", [page for page in PAGES if python_of(page).strip()])
def test_python_in_a_page_runs(page: str) -> None:
    exec(compile(python_of(page), page, "exec"), {"__name__": "page"})


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_a_command_in_a_page_is_understood(page: str, line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *arguments = arguments
        assert name in command.commands, page
        command = command.commands[name]
    command.make_context(name, arguments)


def test_the_page_on_windows_says_what_the_code_does() -> None:
    page, windows = PAGES["docs/how-to/windows.md"], read_config("windows")
    named = set(re.findall(r"`([a-z_]+(?:_\d+)?)`", page.split("## To choose")[1]))
    presets = {preset for modality in windows.values() for preset in modality["presets"]}
    assert presets <= named
    for modality in windows.values():
        if "percentiles" in modality["auto"]:
            low, high = modality["auto"]["percentiles"]
            assert f"from percentile {low:g} to percentile {high:g}" in page
    for name in (windows["CT"]["auto"]["with_bone"], windows["CT"]["auto"]["without_bone"]):
        low, high = windows["CT"]["presets"][name]["limits"]
        assert f"`{name}` ({low:g} to {high:g}" in page
