"""Training: pairs of slices in memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from medfuse.io.png_slices import read_slice_pair
from medfuse.io.slice_sets import SlicePaths


@dataclass(frozen=True)
class SlicePair:
    """One pair of co-registered slices.

    Attributes:
        collection: the set that the pair belongs to, such as ``"CT-MRI"``.
        case: the patient or scan.
        image: (2, H, W) float32 in [0, 1], MR first.
    """

    collection: str
    case: str
    image: Tensor


def read_pairs(paths: list[SlicePaths], smallest_side: int) -> list[SlicePair]:
    """Read pairs of slices.

    Args:
        paths: where they lie.
        smallest_side: refuse slices with a side below this, in pixels.

    Raises:
        UnreadableFileError: if a slice cannot be read.
        InputError: if the two slices of a pair differ in size, or are too small.
    """
    return [_read_pair(pair, smallest_side) for pair in paths]


def _read_pair(paths: SlicePaths, smallest_side: int) -> SlicePair:
    first, second = read_slice_pair(paths.first, paths.second, smallest_side)
    return SlicePair(paths.collection, paths.case, torch.stack([first.gray, second.gray]))
