"""The command line inside the test's own process, and what its refusals look like."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from medfuse.cli.main import app

QUICK = ("--method", "max", "--registration", "none")


def run(*arguments: str | Path) -> Result:
    """Run ``medfuse`` with arguments."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refusal(*arguments: str | Path) -> str:
    """Run a command that must fail with one line on the standard error and nothing else; return the line."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


def everything(folder: Path) -> set[str]:
    """Return the paths of all that lies below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
