"""Bundles: which patches an epoch takes, in one process or shared out over many."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler


class PatchSampler(Sampler[int]):
    """The numbers of the patches of ``medfuse.training.patches.Patches``, each epoch going on where the last ended.

    Args:
        steps: steps of an epoch.
        batch_size: patches that all processes together take in a step; a multiple of their number.
        rank: number of this process, from 0.
        processes: how many there are.
    """

    def __init__(self, steps: int, batch_size: int, rank: int = 0, processes: int = 1) -> None:
        self.per_epoch = steps * batch_size
        self.rank = rank
        self.processes = processes
        self._first = 0

    def __len__(self) -> int:
        """Return how many patches this process takes in an epoch."""
        return len(range(self.rank, self.per_epoch, self.processes))

    def __iter__(self) -> Iterator[int]:
        """Yield the numbers of the next epoch."""
        numbers = range(self._first + self.rank, self._first + self.per_epoch, self.processes)
        self._first += self.per_epoch
        return iter(numbers)
