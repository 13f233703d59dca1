"""The public face: names that exist, are listed, and come from where the code is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import medfuse

PUBLIC = [
    "FusionOptions",
    "FusionResult",
    "MedfuseError",
    "PhantomOptions",
    "RegistrationOptions",
    "archive_at",
    "fuse_slice_folders",
    "fuse_study",
    "fuse_volumes",
    "make_phantom",
    "read_volume",
    "store_result",
    "write_phantom",
    "write_volume",
]


def test_the_public_names_are_these() -> None:
    """Whoever changes this list changes what others rely on: say so in the changelog."""
    assert medfuse.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_leads_to_something_documented(name: str) -> None:
    thing = getattr(medfuse, name)
    assert thing.__name__ == name
    assert thing.__doc__


def test_every_name_that_dir_lists_can_be_had() -> None:
    assert set(PUBLIC) < set(dir(medfuse))
    for name in dir(medfuse):
        assert getattr(medfuse, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    """The imports under ``TYPE_CHECKING`` and the table that is used at run time must agree."""
    tree = ast.parse(Path(medfuse.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in PUBLIC
    }
    assert set(seen) == set(PUBLIC)
    for name, module in seen.items():
        assert getattr(medfuse, name) is getattr(__import__(str(module), fromlist=[name]), name)


def test_an_unknown_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'medfuse' has no attribute 'fuze'"):
        medfuse.fuze  # noqa: B018
