"""What a test does that misses a tool or data: it is skipped, or fails where everything must be there."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRE_ALL = os.environ.get("MEDFUSE_REQUIRE_ALL") == "1"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it where everything is required to be present."""
    if REQUIRE_ALL:
        pytest.fail(f"MEDFUSE_REQUIRE_ALL is set, and {reason}")
    pytest.skip(reason)
