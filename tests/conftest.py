"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fusion_fixtures import fused_ct, fused_pet, patient
from phantom_fixtures import phantom_small
from skipping import skip_or_fail

__all__ = ["fused_ct", "fused_pet", "patient", "phantom_small", "shared"]

SHARED = Path(os.environ.get("MEDFUSE_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference values and real data, which is not part of the project."""
    if not (SHARED / "reference").is_dir():
        skip_or_fail(f"the reference data is not at {SHARED}")
    return SHARED
