"""The phantom patient as a fixture: made once per test session."""

from __future__ import annotations

import pytest

from medfuse.phantom import Phantom, PhantomOptions, make_phantom


@pytest.fixture(scope="session")
def phantom_small() -> Phantom:
    """Return the small phantom, all volumes; do not write into its tensors."""
    return make_phantom(PhantomOptions(profile="small"))
