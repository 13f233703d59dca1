"""Training: the stream of clean patches with degraded ones, for restorers; patches grow while batches shrink.

Progressive patch sizes: Zamir et al., "Restormer", CVPR 2022, section 4. Large patches teach attention the statistics
of whole images, and cost too much to begin with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from medfuse.io.modality import modality_of
from medfuse.training.degradations import coarser, degrade
from medfuse.training.options import RestorationOptions
from medfuse.training.patches import Item, augmentation, crop_weight
from medfuse.training.slice_pairs import SlicePair

_BACKGROUND_WEIGHT = 0.3  # empty air is noisy too
_SEEDS = 2**32
_Key = tuple[int, int]


@dataclass(frozen=True)
class Picture:
    """One slice of one modality.

    Attributes:
        modality: MR, CT, PT or NM.
        image: (1, H, W) float32 in [0, 1].
    """

    modality: str
    image: Tensor


def pictures_of(pairs: Sequence[SlicePair], modalities: Sequence[str]) -> list[Picture]:
    """Take pairs of slices apart, and keep those of some modalities.

    Args:
        pairs: of collections named as ``"CT-MRI"``: the second modality, then the first.
        modalities: MR, CT, PT or NM.
    """
    found = []
    for pair in pairs:
        names = reversed(pair.collection.split("-"))
        for name, image in zip(names, pair.image, strict=True):
            modality = modality_of(name, {"modality": name})
            if modality in modalities:
                found.append(Picture(str(modality), image[None]))
    return found


class NoisyPatches(Dataset[Item]):
    """An endless row of clean patches beside degraded ones, in which every modality is as frequent as any other.

    A patch depends on the pictures, the seed, its number and its size alone, as those of ``Patches`` do.

    Args:
        pictures: what to cut patches from.
        seed: the same seed gives the same patches.
    """

    def __init__(self, pictures: Sequence[Picture], seed: int) -> None:
        sizes = Counter(picture.modality for picture in pictures)
        chances = np.array([1.0 / sizes[picture.modality] for picture in pictures])
        self._chances = chances / chances.sum()
        self._modalities = [picture.modality for picture in pictures]
        weights = [crop_weight(picture.image, _BACKGROUND_WEIGHT) for picture in pictures]
        self._items = [
            {"image": picture.image, "weight": weight} for picture, weight in zip(pictures, weights, strict=True)
        ]
        self._seed = seed

    def __getitem__(self, key: _Key) -> Item:
        """Return a patch by its number and side, ``{"image": (2, side, side)}``: clean in [0, 1], then degraded."""
        number, side = key
        random = np.random.default_rng([self._seed, number])
        index = int(random.choice(len(self._items), p=self._chances))
        augment = augmentation(side)
        augment.set_random_state(seed=int(random.integers(_SEEDS)))
        cut = augment(self._items[index])[0]["image"].as_tensor()[0].numpy()
        clean = coarser(cut, self._modalities[index], random)
        degraded = degrade(clean, self._modalities[index], random)
        return {"image": torch.from_numpy(np.stack([clean, degraded]))}


def noisy_loader(
    patches: NoisyPatches, restoration: RestorationOptions, first: int, last: int, workers: int = 0
) -> DataLoader[Item]:
    """Return a loader of batches ``{"image": (batch, 2, side, side)}``, of sides and batches as the schedule has them.

    Args:
        patches: where to take them from.
        restoration: the schedule.
        first: number of the first batch.
        last: number of the batch to stop before.
        workers: processes that cut patches ahead; 0 for none beside this one.
    """
    batches = list(scheduled_batches(restoration))[first:last]
    return DataLoader(patches, batch_sampler=batches, num_workers=workers)


def scheduled_batches(restoration: RestorationOptions) -> Iterator[list[_Key]]:
    """Yield the numbers and sides of the patches of each batch of a run."""
    number = 0
    for step in range(restoration.steps):
        size = restoration.size_at(step)
        yield [(number + index, size.patch_size) for index in range(size.batch_size)]
        number += size.batch_size
