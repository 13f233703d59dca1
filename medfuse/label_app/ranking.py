"""Which pairs most need a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medfuse.registration.findings import GRADES


def ranked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put what most needs a look first: no verdict at all, then by its grade, then by the estimated error.

    Args:
        rows: each with the ids ``fixed`` and ``moving``, and ``verdict``: as JSON, or None.
    """
    return sorted(rows, key=_need)


def _need(row: Mapping[str, Any]) -> tuple[int, float, str, str]:
    verdict = row["verdict"]
    grade = len(GRADES) if verdict is None else GRADES.index(verdict["grade"])
    error = 0.0 if verdict is None else float(verdict["estimated_error_mm"])
    return -grade, -error, str(row["fixed"]), str(row["moving"])
