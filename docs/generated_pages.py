"""The pages that are made from the code: the command line, and the reference of each package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from medfuse.cli.main import app

LIBRARY = Path(__file__).resolve().parents[1] / "medfuse"


def write_cli_page(path: Path) -> None:
    """Write a page with each command, its arguments and its options."""
    group: Any = typer.main.get_command(app)
    head = "# Command line\n\n`medfuse COMMAND --help` says the same in the terminal.\n"
    _write(path, "\n".join([head, *(_command(name, command) for name, command in _commands(group))]))


def write_api_pages(folder: Path) -> None:
    """Write an index, and a page for each package with all of its modules."""
    modules = sorted(_module_name(path) for path in LIBRARY.rglob("*.py") if not path.name.startswith("_"))
    packages = sorted({path.parent.name for path in LIBRARY.glob("*/__init__.py")})
    for package in packages:
        home = f"medfuse.{package}"
        _write(
            folder / f"{package}.md",
            _page(home, [home, *(name for name in modules if name.startswith(f"{home}."))]),
        )
    top = [name for name in modules if name.count(".") == 1]
    contents = "\n".join(["```{toctree}", ":maxdepth: 1", "", *packages, "```", ""])
    _write(folder / "index.md", _page("Python", ["medfuse", *top], contents))


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command with its whole name, those of groups of commands too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _command(name: str, command: Any) -> str:
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    arguments = " ".join(parameter.name.upper() for parameter in parameters if _is_argument(parameter))
    usage = f"medfuse {name} [OPTIONS] {arguments}".rstrip()
    rows = [_row(parameter) for parameter in parameters]
    head = [f"## medfuse {name}", "", command.help or "", "", "```text", usage, "```", ""]
    return "\n".join([*head, "| argument or option | default | meaning |", "|---|---|---|", *rows, ""])


def _row(parameter: Any) -> str:
    names = parameter.name.upper() if _is_argument(parameter) else ", ".join(parameter.opts)
    default = "required" if parameter.required else _shown(parameter.default)
    return f"| `{names}` | {default} | {(parameter.help or '').replace('|', '/')} |"


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _shown(default: object) -> str:
    if default is None or default is False:
        return ""
    values = default if isinstance(default, tuple) else (default,)
    return " ".join(f"`{value}`" for value in values)


def _module_name(path: Path) -> str:
    return ".".join(("medfuse", *path.relative_to(LIBRARY).with_suffix("").parts))


def _page(title: str, modules: list[str], tail: str = "") -> str:
    sections = [f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n" for name in modules]
    return "\n".join([f"# {title}\n", *sections, tail])


def _write(path: Path, page: str) -> None:
    """Write a page unless it says this already, so that only what changed is built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != page:
        path.write_text(page, encoding="utf-8")
