"""The house around the code keeps its own rules: sizes, docstrings, versions, links, texts."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("medfuse", "tests", "docs", "bundles", ".ci")
TEXTS = (".py", ".md", ".toml", ".cff", ".json", "Makefile", "run")
MADE = {"__pycache__", "_build", "api"}

MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 60
MOST_BYTES_IN_A_FILE = 10_000_000

# Texts speak of the project: not of what is still to do, who asked for it, or where it was written.
OUT_OF_PLACE = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b"
    r"|\b(this|last|previous) session\b|\bconversation\b|\bassistant\b|\bas (you )?requested\b"
    r"|(?<![\w.<])/(work|tmp|root|home)/",
)


def project_files() -> Iterator[Path]:
    """Yield every file that belongs to the project."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith("."))
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not MADE & set(path.parts):
                yield path


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


FILES = {named(path): path for path in project_files()}
SOURCES = {name: path for name, path in FILES.items() if name.endswith(".py")}
LIBRARY = {name: path for name, path in SOURCES.items() if name.startswith("medfuse/")}
PAGES = {name: path for name, path in FILES.items() if name.endswith(".md")}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}


def pyproject() -> dict[str, dict[str, object]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_every_library_file_says_what_it_is() -> None:
    assert [name for name in LIBRARY if not ast.get_docstring(TREES[name])] == []


def test_files_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in SOURCES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES_IN_A_FILE} == {}


def test_functions_are_short() -> None:
    long = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_IN_A_FUNCTION:
                    long[f"{name}:{node.name}"] = lines
    assert long == {}


def test_functions_import_nothing() -> None:
    late = [
        f"{name}:{function.name}"
        for name in LIBRARY
        for function in ast.walk(TREES[name])
        if isinstance(function, ast.FunctionDef)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    ]
    assert late == []


def test_inputs_are_not_checked_by_assert() -> None:
    """An assert may tell the type checker what a value is, and nothing else: ``python -O`` removes it."""
    checked = [
        f"{name}:{node.lineno}"
        for name in LIBRARY
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Assert) and not ast.unparse(node.test).startswith("isinstance(")
    ]
    assert checked == []


def test_texts_speak_of_the_project() -> None:
    found = [
        f"{name}:{number}: {line}"
        for name, path in FILES.items()
        if name.endswith(TEXTS) and path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if OUT_OF_PLACE.search(line)
    ]
    assert found == []


def test_no_file_is_large() -> None:
    sizes = {name: path.stat().st_size for name, path in FILES.items()}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES_IN_A_FILE} == {}


def test_test_files_have_names_of_their_own() -> None:
    tests = [Path(name) for name in SOURCES if name.startswith("tests/")]
    names = [path.name for path in tests if path.name.startswith("test_")]
    assert sorted(names) == sorted(set(names))


def test_tests_mirror_the_library() -> None:
    packages = {Path(name).parts[1] for name in LIBRARY} | {"integration", "benchmarks"}
    folders = {Path(name).parts[1] for name in SOURCES if name.startswith("tests/") and name.count("/") > 1}
    assert folders - packages == set()


def test_every_folder_of_the_library_is_a_package() -> None:
    """The wheel leaves out a folder without ``__init__.py``, though an editable install finds it."""
    folders = {path.parent for path in LIBRARY.values()}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_wheel_carries_every_data_file() -> None:
    package_data = pyproject()["tool"]["setuptools"]["package-data"]["medfuse"]  # type: ignore[index]
    carried = {name.removeprefix("medfuse/") for name in FILES if name.startswith("medfuse/")}
    data = {name for name in carried if not name.endswith((".py", ".cpp", ".h", ".so"))}  # setup.py sees to the kernels
    assert [name for name in data if not any(fnmatch(name, pattern) for pattern in package_data)] == []


def test_one_version_everywhere() -> None:
    version = pyproject()["project"]["version"]
    cited = re.search(r"^version: (.+)$", FILES["CITATION.cff"].read_text(encoding="utf-8"), re.MULTILINE)
    newest = re.search(r"^## \[([^\]]+)\]", FILES["CHANGELOG.md"].read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert newest is not None
    assert {cited[1], newest[1], metadata.version("medfuse")} == {version}


def test_the_license_is_there_in_full() -> None:
    text = FILES["LICENSE"].read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "9. Accepting Warranty or Additional Liability." in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for name, path in PAGES.items():
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


def test_pages_name_commands_of_make_that_exist() -> None:
    known = set(re.findall(r"^([a-z-]+):", FILES["Makefile"].read_text(encoding="utf-8"), re.MULTILINE))
    named_in_pages = {
        target
        for path in PAGES.values()
        for target in re.findall(r"`(?:\$ )?make ([a-z-]+)", path.read_text(encoding="utf-8"))
    }
    assert {"demo", "test"} <= known
    assert named_in_pages - known == set()


def test_the_check_script_can_be_run() -> None:
    assert FILES[".ci/run"].stat().st_mode & 0o111 == 0o111
