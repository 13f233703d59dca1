"""How the pages are built; `make docs` does it, and any warning is an error."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from generated_pages import write_api_pages, write_cli_page  # noqa: E402  (found through the line above)

project = "medfuse"
author = "The medfuse authors"
project_copyright = author
release = version = metadata.version("medfuse")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["amsmath", "dollarmath"]

html_theme = "furo"
html_title = f"medfuse {release}"

# Each thing is described where it is defined, not again where a package passes it on.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_mock_imports = ["monailabel"]  # it has an environment of its own
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def write_generated_pages(_app: Sphinx) -> None:
    """Write the pages that are made from the code."""
    write_cli_page(HERE / "reference" / "cli.md")
    write_api_pages(HERE / "reference" / "api")


def setup(app: Sphinx) -> None:
    """Make the generated pages before the sources are read."""
    app.connect("builder-inited", write_generated_pages)
