"""The ``medfuse`` command. Modules behind a command load the library when they use it, so that help is quick."""

from __future__ import annotations

import typer

from medfuse.cli import benchmark, bundle
from medfuse.cli.demo import demo
from medfuse.cli.evaluate import evaluate
from medfuse.cli.fuse import fuse
from medfuse.cli.fuse_slices import fuse_slices
from medfuse.cli.info import info
from medfuse.cli.label_app import label_app
from medfuse.cli.listen import listen
from medfuse.cli.phantom import phantom
from medfuse.cli.phantom_pairs import phantom_pairs
from medfuse.cli.series import series
from medfuse.cli.train import train
from medfuse.cli.transform import transform
from medfuse.cli.unfuse import unfuse

COMMANDS = (
    fuse,
    series,
    transform,
    listen,
    label_app,
    fuse_slices,
    unfuse,
    evaluate,
    phantom,
    phantom_pairs,
    demo,
    train,
    info,
)

app = typer.Typer(
    name="medfuse",
    help="Fuse two medical volumes of one patient into one that can be checked. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # what draws the boxes takes longer to load than all the rest
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(benchmark.app, name="benchmark")
app.add_typer(bundle.app, name="bundle")


def main() -> None:
    """Run the command line."""
    app()
