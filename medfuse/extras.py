"""Optional dependencies: loaded when first needed, and missed in one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from medfuse.errors import MissingExtraError


def public_name(package: str, homes: Mapping[str, str], name: str, missing: Mapping[str, str] | None = None) -> Any:
    """Import a public name of a package when it is first asked for, for the package's own ``__getattr__``.

    Args:
        package: the package's full name.
        homes: full name of the module that each public name lives in.
        name: what is asked for.
        missing: for modules of optional dependencies, by their full names, the line to say where one is not installed.

    Raises:
        AttributeError: if there is no such name.
        MissingExtraError: if an optional dependency is not installed.
    """
    if name not in homes:
        msg = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        return getattr(import_module(homes[name]), name)
    except ModuleNotFoundError as error:
        line = (missing or {}).get(error.name or "")
        if line is None:
            raise
        raise MissingExtraError(line) from None


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
