"""Optional dependencies: loaded when first needed, and missed in one clear line."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from medfuse.errors import MissingExtraError


def required(module: str, package: str, extra: str) -> Any:
    """Import a module of an optional dependency.

    Args:
        module: the module's full name.
        package: the package that has it, as pip knows it.
        extra: the extra of medfuse that installs it.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        msg = f"{package} is not installed; run: pip install 'medfuse[{extra}]'"
        raise MissingExtraError(msg) from None
