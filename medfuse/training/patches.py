"""Training: the stream of augmented patches, each a pure function of the seed and its own number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
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
from torch.utils.data import DataLoader, Dataset

from medfuse.training.slice_pairs import SlicePair

_FOREGROUND = 0.05
_BACKGROUND_WEIGHT = 0.02  # a few patches show the border of the head to the empty air
_SEEDS = 2**32

Item = dict[str, Tensor]


class Patches(Dataset[Item]):
    """An endless row of patches, in which every collection is as frequent as any other.

    Patch ``i`` depends on the pairs, the seed and ``i`` alone: not on the patches before it, nor on the process that
    cuts it. So a run that was interrupted goes on with the patches that it would have had, and many processes together
    cut the patches that one would.

    Args:
        pairs: the pairs to cut patches from.
        patch_size: side of the patches, in pixels.
        seed: the same seed gives the same patches.
    """

    def __init__(self, pairs: Sequence[SlicePair], patch_size: int, seed: int) -> None:
        self._items = [{"image": pair.image, "weight": crop_weight(pair.image)} for pair in pairs]
        self._chances = np.array(balanced_weights(pairs)) / sum(balanced_weights(pairs))
        self._augment = augmentation(patch_size)
        self._seed = seed

    def __getitem__(self, number: int) -> Item:
        """Return patch ``number``, ``{"image": (2, patch, patch)}`` in [0, 1]."""
        random = np.random.default_rng([self._seed, number])
        item = self._items[int(random.choice(len(self._items), p=self._chances))]
        self._augment.set_random_state(seed=int(random.integers(_SEEDS)))
        return {"image": self._augment(item)[0]["image"].as_tensor()}


def patch_loader(patches: Patches, batch_size: int, first: int, last: int, workers: int = 0) -> DataLoader[Item]:
    """Return a loader of batches ``{"image": (batch_size, 2, patch, patch)}``.

    Args:
        patches: where to take them from.
        batch_size: patches in a batch.
        first: number of the first batch.
        last: number of the batch to stop before.
        workers: processes that cut patches ahead; 0 for none beside this one.
    """
    numbers = range(first * batch_size, last * batch_size)
    return DataLoader(patches, batch_size=batch_size, sampler=numbers, num_workers=workers)


def balanced_weights(pairs: Sequence[SlicePair]) -> list[float]:
    """Return a sampling weight for each pair that makes all collections equally likely."""
    sizes = Counter(pair.collection for pair in pairs)
    return [1.0 / sizes[pair.collection] for pair in pairs]


def augmentation(patch_size: int) -> Compose:
    """Return what cuts a patch out of ``{"image", "weight"}`` at random, and turns it and its brightness.

    Args:
        patch_size: side of the patch, in pixels.

    Returns:
        A transform to a list of one ``{"image": (C, patch, patch)}`` in [0, 1].
    """
    return Compose(
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


def crop_weight(image: Tensor, background: float = _BACKGROUND_WEIGHT) -> Tensor:
    """Return how likely each pixel is the middle of a patch.

    Args:
        image: (C, H, W) in [0, 1].
        background: likelihood of a pixel that is dark in all channels, as a share of the others'.

    Returns:
        (1, H, W), above 0.
    """
    foreground: Tensor = (image.amax(dim=0, keepdim=True) > _FOREGROUND).float()
    return foreground + background
