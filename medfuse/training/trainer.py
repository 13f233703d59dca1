"""Training: the two-stage recipe.

``train()`` is the whole of it: read pairs, stage I, stage II; the loop judges and saves at intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from monai.utils import set_determinism

from medfuse.errors import OutputError
from medfuse.inferers.allocator import keep_freed_memory
from medfuse.networks import CDDFuse, CDDFuseFast, Restormer, Unfusing, build, read_provenance, weights_path
from medfuse.networks.recomputing import train_by_kernels
from medfuse.progress import Progress, Silent
from medfuse.training.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from medfuse.training.judges import Judge, fusion_judge, restoration_judge
from medfuse.training.logs import opened_logs
from medfuse.training.loop import Batches, Loop
from medfuse.training.noisy_patches import NoisyPatches, noisy_loader, pictures_of
from medfuse.training.options import TrainingOptions
from medfuse.training.paired_data import TrainingPairs, read_training_pairs
from medfuse.training.patches import Patches, patch_loader
from medfuse.training.provenance import environment
from medfuse.training.record import Record
from medfuse.training.restoration import restoration_terms
from medfuse.training.stages import Teacher, Terms, stage_one_terms, stage_two_terms
from medfuse.training.team import Team, joined_team
from medfuse.training.unfusing import unfusing_terms

Trained: TypeAlias = CDDFuse | CDDFuseFast | Restormer | Unfusing

_NOT_THE_RUN = ("device", "threads", "workers")  # a run may go on elsewhere


def train(
    data: Path,
    weights: Path,
    options: TrainingOptions,
    command: str,
    *,
    start_from: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    logs: Path | None = None,
    mlflow_uri: str | None = None,
    progress: Progress | None = None,
) -> Record:
    """Train a network on pairs of slices in two stages, and save its weights.

    Under ``torchrun`` all its processes work together on each batch, and the first of them writes.

    Args:
        data: the pairs, in one of the layouts of ``read_training_pairs``.
        weights: the ``.safetensors`` file to write; it is rewritten at each look at the validation pairs.
        options: what the run depends on.
        command: the command that reproduces the run, for the provenance.
        start_from: weights to go on from, with the network they were trained for; ``"default"`` for those that are
            shipped for it; None for random ones.
        resume: go on from the checkpoint beside the weights, if there is one, as if nothing had happened.
        overwrite: replace a weights file and a checkpoint that are there before the run.
        logs: folder for curves and pictures; None for none.
        mlflow_uri: MLflow's server or database, for the same; None for none.
        progress: told how far each stage is.

    Returns:
        The record that is also saved with the weights; only the first process has its curve.

    Raises:
        MedfuseError: if the data cannot be read, the weights cannot be written, or the loss is often not finite.
    """
    job = _Job(data, weights, options, command, start_from, logs, mlflow_uri, progress or Silent())
    keep_freed_memory()
    with _on_threads(options.threads), joined_team(options.device) as team:
        for size in options.batch_sizes:
            team.check_batch(size)
        goes_on = resume and checkpoint_path(weights).is_file()
        if not goes_on:
            _check_output(weights, overwrite)
        record = _run(job, team, goes_on)
        if team.leads:
            checkpoint_path(weights).unlink(missing_ok=True)
    return record


@dataclass(frozen=True)
class _Job:
    """What was asked for; see ``train``."""

    data: Path
    weights: Path
    options: TrainingOptions
    command: str
    start_from: str | Path | None
    logs: Path | None
    mlflow_uri: str | None
    progress: Progress


def _run(job: _Job, team: Team, goes_on: bool) -> Record:
    """Build what the stages need, and run them."""
    options = job.options
    pairs = read_training_pairs(job.data, options.largest_patch)
    set_determinism(options.seed)
    start_from = _started_from(job)
    network = _network(options, start_from, team)
    options = replace(options, network=network.config)
    origin: dict[str, Any] = {
        "options": asdict(options),
        "data": pairs.hashes,
        "started_from": None if start_from is None else read_provenance(start_from),
    }
    identity = {**origin, "options": _identifying(origin["options"])}
    resumed = load_checkpoint(checkpoint_path(job.weights), identity) if goes_on else None
    done = _done(resumed, options)
    with opened_logs(job.logs if team.leads else None, job.mlflow_uri, _flat(identity["options"]), done) as logs:
        loop = Loop(
            network=network,
            team=team,
            options=options,
            batches=_batches(pairs, options),
            judge=_judge(pairs, options),
            weights=job.weights,
            provenance={**origin, "command": job.command, "split": pairs.split, "environment": environment(team)},
            identity=identity,
            logs=logs,
            progress=job.progress if team.leads else Silent(),
            resumed=resumed,
        )
        _run_stages(loop, _teacher(options, team))
    return loop.record


def _run_stages(loop: Loop, teacher: Teacher | None) -> None:
    options, network = loop.options, loop.team.shared(loop.network)
    if options.restores:
        restoration = options.restoration
        loop.run("restore", restoration.steps, 0, partial(restoration_terms, network, softness=restoration.softness))
        return
    one, two = options.stage_one_steps, options.stage_two_steps
    if one > 0:
        loop.run("I", one, 0, partial(stage_one_terms, cast(CDDFuse, network), weights=options.stage_one))
    if two > 0:
        terms: Callable[..., Terms] = unfusing_terms if isinstance(loop.network, Unfusing) else stage_two_terms
        loop.run("II", two, one, partial(terms, network, weights=options.stage_two, teacher=teacher))


def _batches(pairs: TrainingPairs, options: TrainingOptions) -> Batches:
    """Return what cuts batches of patches out of the pairs."""
    if options.restores:
        pictures = pictures_of(pairs.train, options.restoration.modalities)
        patches = NoisyPatches(pictures, options.seed)
        return partial(noisy_loader, patches, options.restoration, workers=options.workers)
    fused = Patches(pairs.train, options.patch_size, options.seed)
    return partial(patch_loader, fused, options.batch_size, workers=options.workers)


def _judge(pairs: TrainingPairs, options: TrainingOptions) -> Judge:
    """Return what looks at the validation pairs."""
    if options.restores:
        return restoration_judge(pairs.validation, options.restoration.modalities, options.validation_pairs)
    return fusion_judge(pairs.validation, options.validation_pairs)


def _started_from(job: _Job) -> Path | None:
    """Return the path of the weights to go on from."""
    if job.start_from is None:
        return None
    return weights_path(job.options.architecture, job.start_from)


def _network(options: TrainingOptions, start_from: Path | None, team: Team) -> Trained:
    built = build(options.architecture, start_from, None if start_from else options.network).train()
    train_by_kernels(built)
    placed = built.to(team.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return cast(Trained, placed)


def _teacher(options: TrainingOptions, team: Team) -> Teacher | None:
    return None if options.teacher is None else build("cddfuse-fast", options.teacher).to(team.device)


def _identifying(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that must be the same for a run to go on."""
    return {name: value for name, value in options.items() if name not in _NOT_THE_RUN}


def _done(resumed: Checkpoint | None, options: TrainingOptions) -> int:
    """Return how many steps of both stages are done."""
    if resumed is None:
        return 0
    return resumed.step + (options.stage_one_steps if resumed.stage == "II" else 0)


def _flat(values: dict[str, Any], name: str = "") -> dict[str, Any]:
    """Return nested options as one mapping, ``stage_two.gradient``."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{name}{key}.") if isinstance(value, dict) else {f"{name}{key}": value}
    return flat


@contextmanager
def _on_threads(number: int) -> Iterator[None]:
    """Compute on a number of CPU threads for a while; 0 for as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_output(weights: Path, overwrite: bool) -> None:
    """Refuse before the run what would fail after its first hour."""
    if weights.suffix != ".safetensors":
        msg = f"{weights}: weights are written as safetensors; let the name end in .safetensors"
        raise OutputError(msg)
    if weights.exists() and not overwrite:
        msg = f"{weights} exists; choose another name, or ask to overwrite it"
        raise OutputError(msg)
    if checkpoint_path(weights).exists() and not overwrite:
        msg = (
            f"{checkpoint_path(weights)} is of a run that was interrupted; go on with --resume, or ask to overwrite it"
        )
        raise OutputError(msg)
    if not weights.parent.is_dir():
        msg = f"{weights.parent} is no folder; create it first"
        raise OutputError(msg)
    checkpoint_path(weights).unlink(missing_ok=True)  # its run was given up
