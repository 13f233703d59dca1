"""Training: pairs of slices to learn from and to judge by, never of one patient in both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medfuse.errors import InputError
from medfuse.training.cases import PARTS, Source, find_sources
from medfuse.training.options import SMALLEST_PATCH
from medfuse.training.slice_pairs import SlicePair

_HELD_OUT = 0.2


@dataclass(frozen=True)
class TrainingPairs:
    """The pairs of a run.

    Attributes:
        train: pairs to learn from.
        validation: pairs to judge by.
        hashes: SHA-256 of the files of each part.
        split: how the parts came about, and how many pairs and cases each has.
    """

    train: list[SlicePair]
    validation: list[SlicePair]
    hashes: dict[str, str]
    split: dict[str, object]


def read_training_pairs(data: Path, smallest_side: int) -> TrainingPairs:
    """Read all pairs of slices.

    Args:
        data: a folder or a list, see ``cases.find_sources``. Where it does not say which pairs serve for validation, a
            fifth of the patients does: drawn by their names, so that each run on the same data draws the same.
        smallest_side: refuse slices to train on with a side below this, in pixels.

    Raises:
        InputError: if a file cannot be used, or there are too few patients.
    """
    parts, rule = split_sources(find_sources(data))
    root = data if data.is_dir() else data.parent
    pairs = {
        part: [pair for source in parts[part] for pair in source.read(smallest)]
        for part, smallest in zip(PARTS, (smallest_side, SMALLEST_PATCH), strict=True)
    }
    counts = {
        part: {"pairs": len(pairs[part]), "cases": len({source.case for source in parts[part]})} for part in PARTS
    }
    hashes = {part: _hash(parts[part], root) for part in PARTS}
    return TrainingPairs(pairs["train"], pairs["validation"], hashes, {"rule": rule, **counts})


def split_sources(sources: Sequence[Source]) -> tuple[dict[str, list[Source]], str]:
    """Give each source a part.

    Args:
        sources: with a part, or all without.

    Returns:
        The sources by part, and the rule that gave it.

    Raises:
        InputError: if only some have a part, or there are too few to hold any out.
    """
    given = [source for source in sources if source.part is not None]
    if given and len(given) < len(sources):
        msg = f"{len(sources) - len(given)} of {len(sources)} pairs have no part; give all of them one, or none"
        raise InputError(msg)
    cases = sorted({source.case for source in sources}, key=_drawn)
    if given:
        held_out, rule = [source.part == "validation" for source in sources], "as listed"
    elif len(cases) > 1:
        drawn = cases[: max(1, round(_HELD_OUT * len(cases)))]
        held_out, rule = [source.case in drawn for source in sources], "a fifth of the cases, by name"
    else:
        last = sorted(source.files for source in sources)[len(sources) - int(_HELD_OUT * len(sources)) :]
        held_out = [source.files in last for source in sources]
        rule = "the last fifth of the slices, as their names tell no cases"
    parts = {
        "train": [source for source, held in zip(sources, held_out, strict=True) if not held],
        "validation": [source for source, held in zip(sources, held_out, strict=True) if held],
    }
    if not all(parts.values()):
        msg = f"{len(sources)} pairs of {len(cases)} cases leave nothing to train on or to judge by; give more cases"
        raise InputError(msg)
    return parts, rule


def _drawn(case: str) -> str:
    """Return a number that a name draws."""
    return hashlib.sha256(case.encode()).hexdigest()


def _hash(sources: Sequence[Source], root: Path) -> str:
    """Return the SHA-256 over the names, relative to a folder, and the bytes of all files."""
    digest = hashlib.sha256()
    for source in sources:
        for path in source.files:
            name = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
            digest.update(name.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
