"""When a study has all that a fusion needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from medfuse.errors import UnreadableFileError
from medfuse.io.checks import FEWEST_VOXELS
from medfuse.io.dicom_peek import InstanceFacts, peek, referenced_uids
from medfuse.options import MODALITIES

FEWEST_SERIES = 2

Judge = Callable[[list[Path]], list[str]]
"""Takes a study's files, and returns the UIDs of the series that could be fused."""


def usable_series(files: Iterable[Path]) -> list[str]:
    """Return the UIDs of the series that are acquired pictures with slices at enough places.

    Derived pictures do not count: a result that an archive sends back must not be fused again.
    """
    places: dict[str, set[str]] = defaultdict(set)
    frames: dict[str, int] = defaultdict(int)
    for path in files:
        facts = _facts(path)
        if facts is not None and facts.image and facts.original and facts.modality in MODALITIES:
            places[facts.series_uid].add(facts.position)
            frames[facts.series_uid] = max(frames[facts.series_uid], facts.frames)
    return sorted(uid for uid in places if max(len(places[uid]), frames[uid]) >= FEWEST_VOXELS)


def series_behind(results: Iterable[Path], known: Iterable[str]) -> list[str]:
    """Return the UIDs of the series that results refer to as their sources; all, if they refer to none.

    Args:
        results: DICOM files.
        known: ``SERIES_UID/SOP_INSTANCE_UID`` of what the results may have been made of.
    """
    by_instance = {name.partition("/")[2]: name.partition("/")[0] for name in known}
    sources = {uid for path in results for uid in referenced_uids(path)}
    behind = {series for instance, series in by_instance.items() if instance in sources}
    return sorted(behind or set(by_instance.values()))


def _facts(path: Path) -> InstanceFacts | None:
    try:
        return peek(path)
    except (OSError, UnreadableFileError):
        return None
