"""Evaluation: each method registers the same planted trial, one after the other, and is timed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any, TypeAlias

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from medfuse.errors import MedfuseError
from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_rivals import RIVALS
from medfuse.evaluation.registration_rows import CPU_SECONDS, ERROR, SECONDS, TrialRow
from medfuse.evaluation.registration_subjects import Study, study_of
from medfuse.evaluation.registration_trials import Trial, plant
from medfuse.metrics.alignment import target_registration_error_mm

Mapper: TypeAlias = Callable[..., Iterable[Any]]

_MOST_SEEDS = 2**31 - 1
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Task:
    """A trial and the methods that still have to do it."""

    trial: Trial
    methods: tuple[str, ...]
    threads: int


@contextmanager
def workers(jobs: int, threads: int) -> Iterator[Mapper]:
    """Give something that maps like ``map``, in processes that have so many threads and processors each."""
    context = get_context("spawn")  # a fork would take the locks of torch's threads with it
    places = context.Value("i", os.getpid())  # lest two comparisons at once share their first processor
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(places, threads))
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def do_trial(task: Task) -> list[TrialRow]:
    """Plant a transform, let each method find it, and return a row for each; their order differs from trial to trial.

    Raises:
        InputError: if the subject's files cannot be used.
    """
    trial = task.trial
    study = plant(study_of(trial.subject), trial)
    start = target_registration_error_mm(np.eye(4), study.fixed_to_moving_ras, study.points_mm).mean_mm
    seed = int(trial.random.integers(1, _MOST_SEEDS))
    first = trial.number % len(task.methods)
    rows = []
    for method in (*task.methods[first:], *task.methods[:first]):
        _warm_up(method, task.threads)
        found, seconds, cpu_seconds = _timed(method, study, seed, task.threads)
        scores = {"start_mm": start, SECONDS: seconds, CPU_SECONDS: cpu_seconds}
        verdict = failure = ""
        if isinstance(found, Found):
            error = target_registration_error_mm(found.fixed_to_moving_ras, study.fixed_to_moving_ras, study.points_mm)
            scores |= {ERROR: error.mean_mm, "error_max_mm": error.max_mm} | found.figures
            verdict = found.verdict
        else:
            failure = found
        rows.append(
            TrialRow(
                method,
                trial.pair,
                trial.subject.case,
                str(trial.cell),
                scores,
                trial.cell,
                trial.number,
                verdict,
                failure,
            )
        )
    return rows


def _timed(method: str, study: Study, seed: int, threads: int) -> tuple[Found | str, float, float]:
    """Return what a method found, or why it gave up, and the wall-clock and processor seconds that it took."""
    wall, processor = time.monotonic(), _processor_seconds()
    found: Found | str
    try:
        found = RIVALS[method](study, seed, threads)
        if not np.isfinite(found.fixed_to_moving_ras).all():
            found = "the transform found is not finite"
    except (MedfuseError, RuntimeError) as error:
        found = " ".join(str(error).split())[-_LONGEST_REASON:] or type(error).__name__
    return found, time.monotonic() - wall, _processor_seconds() - processor


def _processor_seconds() -> float:
    """Return the processor time of this process and of the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@cache
def _warm_up(method: str, threads: int) -> None:
    """Register two small blobs, so that what a method loads on its first call is not timed."""
    axes = np.linspace(-2.0, 2.0, 24, dtype=np.float32)
    x, y, z = np.meshgrid(axes, axes * 1.2, axes * 1.4, indexing="ij")
    blob = torch.from_numpy(np.exp(-(x**2) - y**2 - z**2) * (2.0 + x) * 100.0)
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    _timed(method, Study(blob, affine, blob, affine, np.eye(4), np.zeros((1, 3))), 1, threads)


def _begin(places: Any, threads: int) -> None:
    """Give a new process its threads and processors."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with places.get_lock():
        place, places.value = places.value, places.value + 1
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)  # ANTs reads it when it first works
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        free = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {free[(place * threads + thread) % len(free)] for thread in range(threads)})
