"""The eight steps have one order: in the code that runs them, in the modules' docstrings and in the pages."""

from __future__ import annotations

import ast
import pkgutil
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "medfuse"
PAGE = ROOT / "docs" / "concepts" / "data_flow.md"
STEPS = ("read", "register", "normalize", "slice", "network", "assemble", "write", "report")
PLACE = re.compile(r"^Steps? (?P<numbers>[\d ,andto]+) of 8(, (?P<names>[a-z, ]+))?:")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions_of(path: Path) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree_of(path).body if isinstance(node, ast.FunctionDef)}


def called_in(function: ast.FunctionDef) -> list[str]:
    """Return the names called in a function, from top to bottom."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [node.func.id for node in sorted(calls, key=lambda node: node.lineno) if isinstance(node.func, ast.Name)]


def numbers_in(text: str) -> list[int]:
    """Read ``"2"``, ``"1 and 7"``, ``"4 to 6"``."""
    numbers = [int(number) for number in re.findall(r"\d", text)]
    return list(range(numbers[0], numbers[-1] + 1)) if " to " in text else numbers


def named_steps(docstring: str) -> list[tuple[int, str]]:
    """Return number and name of each step that a docstring's first line claims."""
    place = PLACE.match(docstring)
    if place is None:
        return []
    numbers = numbers_in(place["numbers"])
    if place["names"] is None:  # "Steps 4 to 6 of 8: a network over a volume"
        return [(number, STEPS[number - 1]) for number in numbers]
    return list(zip(numbers, re.split(", | and ", place["names"]), strict=True))


def test_the_pipeline_calls_the_steps_in_order() -> None:
    steps = functions_of(LIBRARY / "steps.py")
    called = [name for name in called_in(functions_of(LIBRARY / "pipeline.py")["fuse_volumes"]) if name in steps]
    places = [named_steps(ast.get_docstring(steps[name]) or "") for name in called]
    assert places == [[(number, name)] for number, name in enumerate(STEPS, 1)]


def test_each_step_is_timed_under_its_name() -> None:
    text = (LIBRARY / "steps.py").read_text(encoding="utf-8")
    assert tuple(re.findall(r'run\.step\("([a-z]+)"\)', text)) == STEPS


def test_the_pipeline_has_no_branch() -> None:
    function = functions_of(LIBRARY / "pipeline.py")["fuse_volumes"]
    assert not any(isinstance(node, ast.If | ast.For | ast.While | ast.Try) for node in ast.walk(function))


def test_modules_claim_their_true_place() -> None:
    claimed: set[int] = set()
    for path in sorted(LIBRARY.rglob("*.py")):
        docstring = ast.get_docstring(tree_of(path)) or ""
        assert PLACE.match(docstring) or not re.match(r"Steps? \d", docstring), f"{path.name}: {docstring}"
        for number, name in named_steps(docstring):
            assert STEPS[number - 1] == name, path.name
            claimed.add(number)
    assert claimed == set(range(1, 9))


def test_the_page_on_the_data_has_the_same_order() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [f"{number} {name}" for number, name in enumerate(STEPS, 1)]


def test_each_section_of_the_page_is_about_its_step() -> None:
    steps = functions_of(LIBRARY / "steps.py")
    called = called_in(functions_of(LIBRARY / "pipeline.py")["fuse_volumes"])
    assert re.findall(r"`steps\.(\w+)`", PAGE.read_text(encoding="utf-8")) == [name for name in called if name in steps]


def test_the_page_names_what_exists() -> None:
    packages = "|".join(path.name for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__")
    names = re.findall(rf"`((?:{packages})(?:\.\w+)+)`", PAGE.read_text(encoding="utf-8"))
    assert len(names) > 10
    for name in names:
        assert pkgutil.resolve_name(f"medfuse.{name}")
