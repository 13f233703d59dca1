"""Evaluation: each pair is fused once, and scored by every suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from typing import Any, TypeAlias

import torch

from medfuse.evaluation.contestants import Fuse
from medfuse.evaluation.pairs import ImagePair
from medfuse.evaluation.protocol import Array, score_arrays
from medfuse.evaluation.rows import Row
from medfuse.inferers.slicewise import fuse_slices
from medfuse.progress import Progress, Silent

Mapper: TypeAlias = Callable[..., Iterable[Any]]

_TOGETHER = 4  # pairs of one size


@contextmanager
def mapper(jobs: int) -> Iterator[Mapper]:
    """Give something that maps like ``map``, in a number of processes of one thread each if there is more than one."""
    if jobs == 1:
        yield map
        return
    context = get_context("spawn")  # a fork would take the locks of torch's threads with it
    with ProcessPoolExecutor(jobs, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool.map


def score_method(
    method: str,
    fuse: Fuse,
    pairs: Sequence[ImagePair],
    suites: tuple[str, ...],
    device: torch.device,
    progress: Progress | None = None,
    mapping: Mapper = map,
) -> list[Row]:
    """Fuse pairs, and return a row of scores for each.

    Args:
        method: the name in the rows.
        fuse: maps (N, 2, H, W) in [0, 1] on the device to (N, 1, H, W).
        pairs: what to fuse.
        suites: which of ``options.SUITES``.
        device: where ``fuse`` runs; scores are computed on the CPU.
        progress: told how many pairs are done.
        mapping: ``map``, or what ``mapper`` gives.
    """
    batches = list(_batches(pairs))
    fused = (_fused(batch, fuse, device) for batch in batches)
    rows: list[Row] = []
    for batch, scores in zip(batches, mapping(partial(score_arrays, suites), fused), strict=True):
        for pair, found in zip(batch, scores, strict=True):
            rows.append(Row(method, pair.collection, pair.case, pair.name, found))
        (progress or Silent()).advance(len(rows), len(pairs))
    return rows


def _fused(batch: Sequence[ImagePair], fuse: Fuse, device: torch.device) -> tuple[Array, Array]:
    """Return the sources (N, 2, H, W) and the fused images (N, 1, H, W), as arrays, which go to another process."""
    image = torch.stack([pair.image for pair in batch])
    return image.numpy(), fuse_slices(image, fuse, device, _TOGETHER).numpy()


def _batches(pairs: Sequence[ImagePair]) -> Iterator[list[ImagePair]]:
    """Cut a list into short ones of pairs of equal size, in order."""
    for _, group in groupby(pairs, key=lambda pair: pair.image.shape):
        members = list(group)
        for start in range(0, len(members), _TOGETHER):
            yield members[start : start + _TOGETHER]
