"""Training: what is wrong with the pairs, said before hours go into learning from them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medfuse.errors import MedfuseError
from medfuse.io.slice_sets import spread
from medfuse.metrics.information import mutual_information
from medfuse.progress import Progress, Silent, showing
from medfuse.training.cases import PARTS, Source, find_sources
from medfuse.training.options import SMALLEST_PATCH
from medfuse.training.paired_data import split_sources
from medfuse.training.slice_pairs import SlicePair

_BRIGHT = 0.05
_LEAST_PICTURE = 0.005  # share of the pixels that are bright in a slice that is not blank
_LEVELS = 32  # of the histograms; more would need larger pictures
_SHIFTS = tuple((y, x) for radius in (3, 6) for y in (-radius, 0, radius) for x in (-radius, 0, radius) if y or x)
_MARGIN = max(max(shift) for shift in _SHIFTS)
_MISALIGNED_GAIN = 0.07  # of the mutual information, by a shift of the second source; aligned heads stay below 0.05
_SLICES_LOOKED_AT = 6


@dataclass(frozen=True)
class Finding:
    """One line about the pairs.

    Attributes:
        text: what was found, and what to do about it.
        unusable: whether training makes no sense before it is done.
    """

    text: str
    unusable: bool = False


@dataclass(frozen=True)
class _Read:
    """A source and what was read from it."""

    source: Source
    pairs: list[SlicePair]


def check_pairs(data: Path, progress: Progress | None = None) -> list[Finding]:
    """Look for what spoils a training: unreadable, unequal, blank, identical, repeated and misaligned pairs.

    Args:
        data: the pairs, in one of the layouts of ``cases.find_sources``.
        progress: told how many pairs of files were read.

    Returns:
        What was found, the counts first; the pairs can be used if no finding says otherwise.

    Raises:
        InputError: if no pairs are found at all.
    """
    sources = find_sources(data)
    read, unread = _read_all(sources, progress or Silent())
    if not read:
        return unread
    return [*_counts(read), *_split(read), *unread, *_blank(read), *_identical(read), *_misaligned(read)]


def _read_all(sources: Sequence[Source], progress: Progress) -> tuple[list[_Read], list[Finding]]:
    read, unread = [], []
    with showing(progress, "read") as told:
        for number, source in enumerate(sources, 1):
            try:
                read.append(_Read(source, source.read(SMALLEST_PATCH)))
            except MedfuseError as error:
                unread.append(Finding(str(error), unusable=True))
            told.advance(number, len(sources))
    return read, unread


def _counts(read: Sequence[_Read]) -> Iterator[Finding]:
    """Say how many pairs of which size each collection has."""
    sizes: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in _pairs(read):
        sizes[pair.collection][" x ".join(map(str, pair.image.shape[:0:-1]))] += 1
    for collection, counts in sorted(sizes.items()):
        yield Finding(f"{collection}: " + ", ".join(f"{count} pairs of {size}" for size, count in counts.most_common()))


def _split(read: Sequence[_Read]) -> Iterator[Finding]:
    """Say how the pairs are split, and which of those to judge by are also trained on."""
    try:
        parts, rule = split_sources([each.source for each in read])
    except MedfuseError as error:
        yield Finding(str(error), unusable=True)
        return
    cases = {part: len({source.case for source in parts[part]}) for part in PARTS}
    yield Finding(f"{cases['train']} cases to train on and {cases['validation']} to judge by: {rule}")
    held_out = {id(source) for source in parts["validation"]}
    pictures: dict[bool, list[bytes]] = {True: [], False: []}
    for each in read:
        pictures[id(each.source) in held_out] += [pair.image.numpy().tobytes() for pair in each.pairs]
    seen = set(pictures[False])
    again = sum(picture in seen for picture in pictures[True])
    if again:
        yield Finding(f"{again} pairs to judge by are also among those to train on; split by patient", unusable=True)


def _blank(read: Sequence[_Read]) -> Iterator[Finding]:
    for case, pairs in _by_case(read).items():
        blank = sum(
            bool(((pair.image > _BRIGHT).flatten(1).float().mean(dim=1) < _LEAST_PICTURE).any()) for pair in pairs
        )
        if blank:
            whole = blank == len(pairs)
            yield Finding(
                f"{case}: {blank} of {len(pairs)} pairs are blank in a source; leave them out", unusable=whole
            )


def _identical(read: Sequence[_Read]) -> Iterator[Finding]:
    for case, pairs in _by_case(read).items():
        same = sum(bool(torch.equal(pair.image[0], pair.image[1])) for pair in pairs)
        if same:
            yield Finding(
                f"{case}: in {same} of {len(pairs)} pairs both sources are one picture; correct the list", True
            )


def _misaligned(read: Sequence[_Read]) -> Iterator[Finding]:
    """Say where the second source fits better after a small shift."""
    for case, pairs in _by_case(read).items():
        looked_at = spread(pairs, _SLICES_LOOKED_AT)
        gain, (down, right) = best_shift([pair.image for pair in looked_at])
        if gain > _MISALIGNED_GAIN:
            yield Finding(
                f"{case}: shifting the second source by {down} rows and {right} columns raises the mutual information "
                f"by {gain:.0%}; look at the pair, and register it with `medfuse fuse`"
            )


def best_shift(images: Sequence[Tensor]) -> tuple[float, tuple[int, int]]:
    """Return the small shift of the second source that raises the mutual information most.

    Args:
        images: pairs (2, H, W) in [0, 1] that share one misalignment.

    Returns:
        The relative gain over no shift, and the shift in rows and columns; 0 and no shift where none is better.
    """
    still = _information(images, (0, 0))
    found = {shift: _information(images, shift) for shift in _SHIFTS}
    best = max(found, key=lambda shift: found[shift])
    if still <= 0.0 or found[best] <= still:
        return 0.0, (0, 0)
    return found[best] / still - 1.0, best


def _information(images: Sequence[Tensor], shift: tuple[int, int]) -> float:
    """Return the mean mutual information, in bits, within a margin that no shift leaves."""
    total = 0.0
    for image in images:
        first, second = (image * (_LEVELS - 1)).round()
        moved = torch.roll(second, shift, dims=(0, 1))
        inside = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
        total += float(mutual_information(first[inside][None, None], moved[inside][None, None]))
    return total / len(images)


def _pairs(read: Sequence[_Read]) -> Iterator[SlicePair]:
    for each in read:
        yield from each.pairs


def _by_case(read: Sequence[_Read]) -> dict[str, list[SlicePair]]:
    cases: dict[str, list[SlicePair]] = defaultdict(list)
    for pair in _pairs(read):
        cases[f"{pair.collection}, case {pair.case}"].append(pair)
    return cases
