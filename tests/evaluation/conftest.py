"""A small split of slice pairs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_slices import write_split


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Return a folder with 6 pairs of CT and 2 of PET, all for validation, the first for training too."""
    return write_split(tmp_path / "slices")
