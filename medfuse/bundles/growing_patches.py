"""Bundles: which noisy patches an epoch takes, and how large, in one process or shared out over many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch.utils.data import Sampler

from medfuse.training.noisy_patches import scheduled_batches
from medfuse.training.options import PatchSize, RestorationOptions


class GrowingPatchSampler(Sampler[list[tuple[int, int]]]):
    """The batches of ``medfuse.training.noisy_patches.NoisyPatches``, each epoch going on where the last ended.

    Args:
        sizes: the progressive patch sizes.
        epochs: how many epochs the schedule covers.
        steps: steps of an epoch.
        largest: side that no patch exceeds, in pixels.
        rank: number of this process, from 0.
        processes: how many there are; each takes its share of every batch, at least one patch.
    """

    def __init__(
        self,
        sizes: Sequence[PatchSize],
        epochs: int,
        steps: int,
        largest: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        bounded = tuple(replace(size, patch_size=min(size.patch_size, largest)) for size in sizes)
        self._batches = list(scheduled_batches(RestorationOptions(steps=epochs * steps, sizes=bounded)))
        self.steps = steps
        self.rank = rank
        self.processes = processes
        self._epoch = 0

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return self.steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield the numbers and sides of the patches of each batch of the next epoch."""
        first = self._epoch * self.steps
        self._epoch += 1
        for batch in self._batches[first : first + self.steps]:
            yield batch[self.rank :: self.processes] or batch[:1]
