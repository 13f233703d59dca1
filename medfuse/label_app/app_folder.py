"""The folder that MONAI Label serves: one small file that names the app."""

from __future__ import annotations

from pathlib import Path

from medfuse.io.output_folder import whole_file

MAIN = "main.py"
MODELS = "model"  # where trained weights go; the server makes it

_MAIN_TEXT = '''"""The app that MONAI Label serves; `monailabel start_server --app FOLDER` looks for it here."""

from medfuse.label_app.app import FusionApp

__all__ = ["FusionApp"]
'''


def write_app(folder: Path, overwrite: bool = False) -> Path:
    """Write the app that ``monailabel start_server --app FOLDER`` serves.

    Args:
        folder: created if it is missing; of what is in it only ``main.py`` is touched.
        overwrite: replace an existing ``main.py``; trained weights beside it stay.

    Returns:
        The path of ``main.py``.

    Raises:
        OutputError: if there is one already (without ``overwrite``), or it cannot be written.
    """
    main = folder / MAIN
    with whole_file(main, overwrite) as temporary:
        temporary.write_text(_MAIN_TEXT, encoding="utf-8")
    return main
