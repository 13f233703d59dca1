"""Frames of one series sorted into stacks: no two images of a stack lie at one place."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from medfuse.errors import GeometryError, InputError
from medfuse.io.checks import shown
from medfuse.io.dicom_frames import CLASSIC_FLAVOR_NAMES, FRAME_FLAVOR_NAMES, Frame
from medfuse.io.dicom_geometry import FEWEST_SLICES, SAME_PLACE_MM, axes_of, same_place
from medfuse.io.dicom_headers import read_elements, value_of

MOST_DIRECTIONS = 256

_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-3  # of the spacing
_LEAST_OVERLAP = 1.2  # parts of a stack must repeat its places, not share them out among themselves


@dataclass(frozen=True)
class Stack:
    """Frames of one orientation and pixel spacing.

    Attributes:
        frames: in no certain order.
        label: what tells the stack apart from others of the series; empty if nothing has to.
        copies: how many equal images were dropped.
        clash: how many different images lie at one distance, 0 if none do.
    """

    frames: tuple[Frame, ...]
    label: str = ""
    copies: int = 0
    clash: int = 0


def stacks_of(frames: Sequence[Frame]) -> list[Stack]:
    """Sort frames that state where they lie into stacks.

    They are parted by orientation and spacing, and then, where several lie at one place, by what the headers say of
    them: echo, time, b-value and the like. Equal copies are dropped.

    Args:
        frames: of one series, one frame of reference and one size in pixels.

    Returns:
        At least one stack.

    Raises:
        GeometryError: if an orientation is none, or there are more than ``MOST_DIRECTIONS``.
    """
    parallel = _grouped_alike(frames)
    found = [stack for group in parallel for stack in _split(Stack(tuple(group)))]
    return [_without_copies(stack) for stack in found]


def distances_mm(frames: Sequence[Frame]) -> npt.NDArray[np.float64]:
    """Return how far along the normal of the first frame each of the parallel frames lies, (N,)."""
    normal = axes_of(frames[0].orientation or (), "series")[:, 2]
    return np.asarray([frame.position for frame in frames], dtype=np.float64) @ normal


def _grouped_alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group by orientation and spacing, within rounding of what the headers say."""
    groups: list[list[Frame]] = []
    for frame in frames:
        home = next((group for group in groups if _alike(group[0], frame)), None)
        if home is None:
            groups.append([frame])
            if len(groups) > MOST_DIRECTIONS:
                msg = f"series: more than {MOST_DIRECTIONS} orientations or pixel spacings; it is no stack"
                raise GeometryError(msg)
        else:
            home.append(frame)
    return groups


def _alike(first: Frame, second: Frame) -> bool:
    if not first.orientation or not second.orientation or not first.spacing or not second.spacing:
        return False
    turned = max(abs(a - b) for a, b in zip(first.orientation, second.orientation, strict=True))
    wider = max(abs(a - b) for a, b in zip(first.spacing, second.spacing, strict=True))
    return turned <= _SAME_DIRECTION and wider <= _SAME_SPACING * max(first.spacing)


def _levels(frames: Sequence[Frame]) -> npt.NDArray[np.int64]:
    """Number the distances along the normal, (N,); frames at one distance have one number."""
    along = distances_mm(frames)
    order = np.argsort(along, kind="stable")
    steps = np.concatenate([[0], np.diff(along[order]) > SAME_PLACE_MM])
    levels = np.empty(len(frames), dtype=np.int64)
    levels[order] = np.cumsum(steps)
    return levels


def _split(stack: Stack) -> list[Stack]:
    """Part a stack by the first property that repeats its places, and again until none lies twice."""
    levels = _levels(stack.frames)
    most, places = int(np.bincount(levels).max()), int(levels.max()) + 1
    if most == 1 or places < FEWEST_SLICES:
        return [stack]
    names = FRAME_FLAVOR_NAMES if stack.frames[0].number else CLASSIC_FLAVOR_NAMES
    for index, name in enumerate(names):
        parts = _grouped_by(stack.frames, lambda frame, at=index: _flavor(frame, at))  # type: ignore[misc]
        covered = sum(len(set(_levels(part))) for part in parts.values())
        if 1 < len(parts) <= most and covered >= _LEAST_OVERLAP * places:
            label = f"{stack.label}, " if stack.label else ""
            return [
                part
                for value in sorted(parts, key=_natural)
                for part in _split(Stack(tuple(parts[value]), f"{label}{name} {shown(value)}".strip()))
            ]
    return [stack]


def _flavor(frame: Frame, index: int) -> str:
    return frame.flavor[index] if index < len(frame.flavor) else ""


def _grouped_by(frames: Iterable[Frame], key: Callable[[Frame], str]) -> dict[str, list[Frame]]:
    groups: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return groups


def _natural(text: str) -> tuple[float, str]:
    """Order numbers as numbers and the rest as text."""
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def _without_copies(stack: Stack) -> Stack:
    """Keep one of several equal images at a place, and count those that differ."""
    levels = _levels(stack.frames)
    if int(np.bincount(levels).max()) == 1:
        return stack
    at_level: dict[int, list[Frame]] = defaultdict(list)
    for frame, level in zip(stack.frames, levels, strict=True):
        at_level[int(level)].append(frame)
    kept: list[Frame] = []
    clash = 0
    for frames in at_level.values():
        if len(frames) > 1 and not _all_equal(frames):
            clash = max(clash, len(frames))
            kept.extend(frames)
        else:
            kept.append(frames[0])
    return replace(stack, frames=tuple(kept), copies=len(stack.frames) - len(kept), clash=clash)


def _all_equal(frames: Sequence[Frame]) -> bool:
    if any(not same_place(frames[0], frame) or frame.number for frame in frames):
        return False
    first = _digest(frames[0])
    return first is not None and all(_digest(frame) == first for frame in frames[1:])


def _digest(frame: Frame) -> Hashable:
    """Return what two equal images have in common: stored pixels and what makes values of them."""
    tags = ("PixelData", "FloatPixelData", "DoubleFloatPixelData", "RescaleSlope", "RescaleIntercept")
    try:
        stored = read_elements(frame.path, list(tags))
    except InputError:
        return None
    digest = hashlib.sha256()
    for tag in tags:
        value = value_of(stored, tag)
        digest.update(value if isinstance(value, bytes) else str(value).encode())
    return digest.hexdigest()
