"""``medfuse bundle``: the MONAI bundles that are shipped: listed, written, and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import medfuse
from medfuse.cli.console import guarded, out
from medfuse.errors import OptionError

app = typer.Typer(help="MONAI bundles: list, write and run them.", no_args_is_help=True, pretty_exceptions_enable=False)

_ANY_KEY = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.callback()
def bundle() -> None:
    """MONAI bundles: list, write and run them."""


@app.command("list")
@guarded
def list_() -> None:
    """List the bundles that are shipped."""
    for entry in medfuse.bundles.list_bundles():
        out.print(f"{entry.name} {entry.version}: {entry.title}", markup=False)


@app.command()
@guarded
def get(
    name: Annotated[str, typer.Argument(help="One of the bundles that are listed.")],
    folder: Annotated[Path, typer.Argument(help="Where to put it; it becomes FOLDER/NAME.")] = Path(),
    weights: Annotated[str, typer.Option(help="Weights to put in: default, phantom, or a file.")] = "default",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
) -> None:
    """Write a bundle: configs, documents, license and weights."""
    written = medfuse.bundles.write_bundle(name, folder, weights, overwrite=overwrite)
    out.print(f"Wrote {written}; its docs/README.md says how to use it.", markup=False)


@app.command(context_settings=_ANY_KEY)
@guarded
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A bundle that is listed, or the folder of one.")],
    config: Annotated[str, typer.Option(help="inference, train, evaluate ...: a file of its configs.")] = "inference",
) -> None:
    """Run a config of a bundle; further options are keys of the config, such as --fixed FILE --moving FILE."""
    medfuse.bundles.run_bundle(name, config, parse_overrides(context.args))


def parse_overrides(words: list[str]) -> dict[str, Any]:
    """Return the keys and values of ``--key value`` pairs; values are JSON where they can be, else text.

    Raises:
        OptionError: if a key has no value, or a value no key.
    """
    pairs: dict[str, Any] = {}
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    for key, value in zip(rest[::2], [*rest[1::2], None], strict=False):
        if not key.startswith("--") or value is None:
            msg = f"{key!r} is not understood; give keys of the config with their values, as --key value"
            raise OptionError(msg)
        pairs[key.removeprefix("--")] = _value(value)
    return pairs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
