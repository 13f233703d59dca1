"""What was seen of each planted case: kept in a folder, so that limits can be changed without looking again."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from verdict_cases import make_case
from verdict_patients import cache_folder
from verdict_recipes import Recipe

from medfuse.registration.evidence import Evidence
from medfuse.registration.findings import find
from medfuse.registration.limits import load_limits
from medfuse.registration.verdict import estimate_error, judge


@dataclasses.dataclass(frozen=True)
class Row:
    """One case judged.

    Attributes:
        recipe: what was planted.
        true_error_mm: how wrong it is; NaN where nothing of the patient is in the moving scan.
        is_failure: to pass it would be a silent failure.
        is_good: anything but a pass would be a false alarm.
        evidence: what was seen.
        seconds: of the processor.
    """

    recipe: Recipe
    true_error_mm: float
    is_failure: bool
    is_good: bool
    evidence: Evidence
    seconds: float

    @property
    def estimated_error_mm(self) -> float:
        """The estimate, by the limits of today."""
        return estimate_error(self.evidence, load_limits())

    @property
    def grade(self) -> str:
        """The grade, by the limits of today."""
        return find(self.evidence, self.estimated_error_mm, load_limits(), rigid=True)[0].grade

    @property
    def reason(self) -> str:
        """The gravest reason."""
        return find(self.evidence, self.estimated_error_mm, load_limits(), rigid=True)[0].sentence


def row_path(recipe: Recipe) -> Path:
    """Return where what was seen of a case is kept."""
    return cache_folder() / "rows" / f"{recipe.key}.json"


def looked_at(recipe: Recipe) -> Row:
    """Judge a case, or remember it."""
    path = row_path(recipe)
    if path.exists():
        stored = json.loads(path.read_text())
    else:
        stored = _look(recipe)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(stored))
        aside.replace(path)
    return Row(recipe, **{**stored, "evidence": Evidence(**stored["evidence"])})


def _look(recipe: Recipe) -> dict[str, object]:
    case = make_case(recipe)
    started = time.process_time()
    verdict = judge(
        case.fixed.volume,
        case.fixed.affine_ras,
        case.moving.volume,
        case.moving.affine_ras,
        case.fixed_to_moving_ras,
    )
    return {
        "true_error_mm": case.true_error_mm,
        "is_failure": case.is_failure,
        "is_good": case.is_good,
        "evidence": dataclasses.asdict(verdict.evidence),
        "seconds": time.process_time() - started,
    }


def silent_failures(rows: list[Row]) -> list[Row]:
    """Return the failures that passed."""
    return [row for row in rows if row.is_failure and row.grade == "pass"]


def false_alarms(rows: list[Row]) -> list[Row]:
    """Return the good cases that did not pass."""
    return [row for row in rows if row.is_good and row.grade != "pass"]
