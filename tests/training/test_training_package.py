"""The package: its names come when asked for, and say what to install where that is missing."""

from __future__ import annotations

from typing import NoReturn

import pytest

import medfuse.training
from medfuse.errors import MissingExtraError


def test_every_public_name_comes() -> None:
    assert set(medfuse.training.__all__) <= set(dir(medfuse.training))
    for name in medfuse.training.__all__:
        assert getattr(medfuse.training, name).__name__ == name


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        _ = medfuse.training.tarin


@pytest.mark.parametrize(("missing", "expected"), [("ignite", MissingExtraError), ("elsewhere", ModuleNotFoundError)])
def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, missing: str, expected: type[Exception]) -> None:
    def fail(_module: str) -> NoReturn:
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr("medfuse.extras.import_module", fail)
    with pytest.raises(expected) as caught:
        _ = medfuse.training.train
    assert ("pip install 'medfuse[train]'" in str(caught.value)) == (missing == "ignite")
