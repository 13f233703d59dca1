"""``medfuse label-app``: write the app that MONAI Label serves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse import label_app as served
from medfuse.cli.console import guarded, out


@guarded
def label_app(
    folder: Annotated[Path, typer.Argument(help="Folder to write the app into.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier app; its weights stay.")] = False,
) -> None:
    """Write the app that MONAI Label serves, in an environment that has both."""
    served.write_app(folder, overwrite)
    out.print(f"Wrote the app to {folder}; where MONAI Label is installed, serve it by", markup=False)
    out.print(f"  monailabel start_server --host 127.0.0.1 --app {folder} --studies STUDIES", markup=False)
