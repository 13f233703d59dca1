"""The commands in the pages on bundles name actions, files and keys that there are."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "docs" / "how-to" / "bundles.md",
    ROOT / "medfuse" / "bundles" / "sources" / "common" / "docs" / "usage.md",
)
COMMANDS = [
    (page.name, line.partition("monai.bundle ")[2])
    for page in PAGES
    for line in page.read_text(encoding="utf-8").splitlines()
    if re.match(r"(python|torchrun) .*-m monai\.bundle ", line)
]
OWN_WORDS = {"config_file", "meta_file", "args_file", "filepath"}


def keys(content: Any, start: str = "") -> set[str]:
    """Return all keys of a config, in MONAI's spelling."""
    found = set()
    if isinstance(content, dict):
        for key, value in content.items():
            found |= {f"{start}{key}"} | keys(value, f"{start}{key}::")
    return found


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page} {line[:60]}" for page, line in COMMANDS])
def test_a_command_of_monai_can_be_run(shipped: dict[str, Path], page: str, command: str) -> None:
    bundle = shipped["cddfuse_fast"]
    action, *words = shlex.split(command)
    assert callable(getattr(monai.bundle, action))
    if not words[0].startswith("--"):
        assert words.pop(0) == "network_def"
    given = dict(zip((word.removeprefix("--") for word in words[::2]), words[1::2], strict=True))
    files = [name for word in OWN_WORDS & set(given) for name in re.findall(r"[\w/]+\.json", given[word])]
    assert files
    contents = [json.loads((bundle / name).read_text(encoding="utf-8")) for name in files]
    assert set(given) - OWN_WORDS <= {key for content in contents for key in keys(content)}, page


def test_pages_have_such_commands() -> None:
    assert len(COMMANDS) > 15
