"""What each registration sets out from."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medfuse.options import RegistrationOptions
from medfuse.registration import register as module

RIGID = np.diag([1.0, -1.0, -1.0, 1.0])
AFFINE = np.diag([1.1, -1.0, -1.0, 1.0])


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Put stand-ins in place of the searches, and return from where each was told to start."""
    seen: dict[str, np.ndarray] = {}

    def stand_in(name: str, found: object) -> object:
        def search(*arguments: object, **_: object) -> object:
            seen[name] = arguments[4]
            return found

        return search

    monkeypatch.setattr(module, "register_rigid", lambda *_: SimpleNamespace(fixed_to_moving_ras=RIGID))
    monkeypatch.setattr(module, "register_affine", stand_in("affine", SimpleNamespace(fixed_to_moving_ras=AFFINE)))
    monkeypatch.setattr(module, "register_deformable", stand_in("deformable", SimpleNamespace(displacement=None)))
    monkeypatch.setattr(module, "judge", stand_in("judge", "judged"))
    return seen


@pytest.mark.parametrize(
    ("method", "searches"), [("rigid", []), ("affine", ["affine"]), ("deformable", ["deformable"])]
)
def test_affine_and_deformable_both_start_from_the_rigid_result(
    starts: dict[str, np.ndarray], method: str, searches: list[str]
) -> None:
    values = torch.zeros(4, 4, 4)
    found = module.register(values, np.eye(4), values, np.eye(4), RegistrationOptions(method=method))
    assert [name for name in starts if name != "judge"] == searches
    assert all(np.array_equal(starts[name], RIGID) for name in searches)
    expected = AFFINE if method == "affine" else RIGID
    assert np.array_equal(found.fixed_to_moving_ras, expected)
    assert found.verdict == "judged"
