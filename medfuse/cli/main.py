"""The ``medfuse`` command. Modules behind a command load the library when they use it, so that help is quick."""

from __future__ import annotations

import typer

from medfuse.cli.demo import demo
from medfuse.cli.fuse import fuse
from medfuse.cli.info import info
from medfuse.cli.phantom import phantom
from medfuse.cli.train import train
from medfuse.cli.validate import validate

COMMANDS = (fuse, phantom, demo, train, validate, info)

app = typer.Typer(
    name="medfuse",
    help="Fuse two medical volumes of one patient into one that can be checked. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line."""
    app()
