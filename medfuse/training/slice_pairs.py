"""Training: pairs of slices in memory, as random patches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandFlipd,
    RandRotate90d,
    RandScaleIntensityd,
    RandWeightedCropd,
    SelectItemsd,
    ThresholdIntensityd,
)
from torch import Tensor
from torch.utils.data import WeightedRandomSampler

from medfuse.errors import InputError
from medfuse.io.png_slices import read_gray
from medfuse.io.slice_sets import SlicePaths

_FOREGROUND = 0.05
_BACKGROUND_WEIGHT = 0.02  # a few patches show the border of the head to the empty air


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


def patch_loader(pairs: list[SlicePair], patch_size: int, batch_size: int, steps: int, seed: int) -> DataLoader:
    """Return a loader of augmented patches, in which every collection is as frequent as any other.

    Args:
        pairs: the pairs to cut patches from.
        patch_size: side of the patches, in pixels.
        batch_size: patches in a batch.
        steps: batches in an epoch.
        seed: the same seed gives the same batches.

    Returns:
        A loader of ``{"image": (batch_size, 2, patch_size, patch_size)}``.
    """
    generator = torch.Generator().manual_seed(seed)
    sampler = WeightedRandomSampler(balanced_weights(pairs), steps * batch_size, generator=generator)
    return DataLoader(patch_dataset(pairs, patch_size, seed), batch_size=batch_size, sampler=sampler, num_workers=0)


def patch_dataset(pairs: list[SlicePair], patch_size: int, seed: int) -> Dataset:
    """Return a MONAI dataset whose items are augmented patches, ``{"image": (2, patch, patch)}``."""
    augment = Compose(
        [
            RandWeightedCropd(keys="image", w_key="weight", spatial_size=(patch_size, patch_size), num_samples=1),
            SelectItemsd(keys="image"),
            RandFlipd(keys="image", prob=0.5, spatial_axis=0),
            RandRotate90d(keys="image", prob=0.5, max_k=3),
            RandAdjustContrastd(keys="image", prob=0.3, gamma=(0.7, 1.4)),
            RandScaleIntensityd(keys="image", prob=0.5, factors=(-0.4, 0.8), channel_wise=True),
            ThresholdIntensityd(keys="image", threshold=1.0, above=False, cval=1.0),
        ]
    )
    augment.set_random_state(seed)
    return Dataset([{"image": pair.image, "weight": _crop_weight(pair.image)} for pair in pairs], augment)


def balanced_weights(pairs: list[SlicePair]) -> list[float]:
    """Return a sampling weight for each pair that makes all collections equally likely."""
    sizes = Counter(pair.collection for pair in pairs)
    return [1.0 / sizes[pair.collection] for pair in pairs]


def spread(pairs: list[SlicePair], number: int) -> list[SlicePair]:
    """Return about a number of pairs, evenly spread over each collection and shared between all; 0 for all."""
    if number == 0:
        return pairs
    collections = [list(members) for _, members in groupby(sorted(pairs, key=_collection), key=_collection)]
    each = max(1, number // len(collections))
    return [pair for members in collections for pair in _evenly(members, min(each, len(members)))]


def _collection(pair: SlicePair) -> str:
    return pair.collection


def _evenly(members: list[SlicePair], number: int) -> list[SlicePair]:
    return [members[int((index + 0.5) * len(members) / number)] for index in range(number)]


def _crop_weight(image: Tensor) -> Tensor:
    foreground = (image.amax(dim=0, keepdim=True) > _FOREGROUND).float()
    return foreground + _BACKGROUND_WEIGHT


def _read_pair(paths: SlicePaths, smallest_side: int) -> SlicePair:
    first, second = read_gray(paths.first), read_gray(paths.second)
    names = f"{paths.first.name} and {paths.second.name} of {paths.collection!r}"
    if first.shape != second.shape:
        msg = f"{names} differ in size: {tuple(first.shape)} and {tuple(second.shape)}; give a registered pair"
        raise InputError(msg)
    if min(first.shape) < smallest_side:
        msg = f"{names} have {tuple(first.shape)} pixels; give slices of at least {smallest_side} a side"
        raise InputError(msg)
    return SlicePair(paths.collection, paths.case, torch.stack([first, second]))
