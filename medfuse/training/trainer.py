"""Training: the two-stage loop, on MONAI's engine.

``train()`` is the whole recipe: read pairs, stage I, stage II, judge, save.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from torch import Tensor, nn
from torch.utils.data import WeightedRandomSampler

from medfuse.errors import MedfuseError
from medfuse.networks import CDDFuse, build, save_weights
from medfuse.training import validation
from medfuse.training.options import TrainingOptions
from medfuse.training.provenance import environment
from medfuse.training.slice_pairs import SlicePair, balanced_weights, data_hash, patch_dataset, read_pairs
from medfuse.training.stages import Terms, stage_one_terms, stage_two_terms

_log = logging.getLogger(__name__)

_WARM_UP_STEPS = 20
_FINAL_RATE = 0.01  # of the highest learning rate
_BAD_STEPS_ALLOWED = 10


@dataclass
class Record:
    """What happened during a run: one row for each look at the validation pairs."""

    curve: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    skipped_steps: int = 0


def train(data: Path, weights: Path, options: TrainingOptions, command: str) -> Record:
    """Train CDDFuse on pairs of slices in two stages, and save its weights.

    Args:
        data: folder with ``splits.json`` and the slices.
        weights: the ``.safetensors`` file to write; it is rewritten at each look at the validation pairs.
        options: what the run depends on.
        command: the command that reproduces the run, for the provenance.

    Returns:
        The record that is also saved with the weights.

    Raises:
        MedfuseError: if the data cannot be read, or the loss stays NaN or infinite.
    """
    set_determinism(options.seed)
    training_pairs, held_out = read_pairs(data, "train"), read_pairs(data, "validation")
    network = build("cddfuse", config=options.network)
    assert isinstance(network, CDDFuse)
    network = network.to(options.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    provenance = {
        "command": command,
        "options": asdict(options),
        "data": {part: data_hash(data, part) for part in ("train", "validation")},
        "data_license": "research use only (AANLIB)",
        "environment": environment(options.device),
    }
    record, started = Record(), time.monotonic()

    def judge(stage: str, step: int, terms: dict[str, float]) -> None:
        scores = validation.score(network, _spread(held_out, options.validation_pairs))
        network.train()
        record.seconds = time.monotonic() - started
        record.curve.append(
            {
                "stage": stage,
                "step": step,
                "seconds": round(record.seconds),
                "loss": terms,
                "validation": scores,
            }
        )
        _log.info("stage %s, step %d: %s; %s", stage, step, terms, scores)
        save_weights(network, weights, {**provenance, "record": asdict(record)})

    def objective_one(image: Tensor) -> Terms:
        return stage_one_terms(network, image, options.stage_one)

    def objective_two(image: Tensor) -> Terms:
        return stage_two_terms(network, image, options.stage_two)

    _run_stage("I", network, training_pairs, objective_one, options.stage_one_steps, options, record, judge)
    _run_stage("II", network, training_pairs, objective_two, options.stage_two_steps, options, record, judge)
    return record


def _run_stage(
    stage: str,
    network: CDDFuse,
    pairs: list[SlicePair],
    objective: Callable[[Tensor], Terms],
    steps: int,
    options: TrainingOptions,
    record: Record,
    judge: Callable[[str, int, dict[str, float]], None],
) -> None:
    """Take the optimizer steps of one stage, judging at regular intervals."""
    parts = [network.encoder, network.decoder, network.base_fusion, network.detail_fusion]
    optimizer = torch.optim.Adam(
        [{"params": list(part.parameters())} for part in parts], lr=options.learning_rate
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))

    def update(engine: SupervisedTrainer, batch: dict[str, Tensor]) -> dict[str, float]:
        image = batch["image"].as_tensor().to(options.device, memory_format=torch.channels_last)  # type: ignore[attr-defined]
        with torch.autocast(
            torch.device(options.device).type, torch.bfloat16, enabled=options.precision == "bfloat16"
        ):
            terms = objective(image)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        if not torch.isfinite(loss):
            _count_bad_step(record, stage, engine.state.iteration)
        else:
            loss.backward()  # type: ignore[no-untyped-call]
            for part in parts:
                nn.utils.clip_grad_norm_(part.parameters(), options.clip_norm)
            optimizer.step()
        schedule.step()
        return {name: round(term.item(), 4) for name, term in terms.items()}

    interval = min(options.validate_every, steps)
    engine = SupervisedTrainer(
        device=torch.device(options.device),
        max_epochs=math.ceil(steps / interval) if steps else 0,
        train_data_loader=_loader(pairs, options, interval),
        network=network,
        optimizer=optimizer,
        loss_function=objective,
        iteration_update=update,
        epoch_length=interval,
    )
    engine.logger.setLevel(logging.WARNING)
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: judge(stage, engine.state.iteration, engine.state.output)
    )
    engine.run()


def _count_bad_step(record: Record, stage: str, step: int) -> None:
    record.skipped_steps += 1
    _log.warning("stage %s, step %d: the loss is not finite; the step is skipped", stage, step)
    if record.skipped_steps > _BAD_STEPS_ALLOWED:
        msg = f"the loss was not finite in {record.skipped_steps} steps; lower the learning rate"
        raise MedfuseError(msg)


def _loader(pairs: list[SlicePair], options: TrainingOptions, steps: int) -> DataLoader:
    generator = torch.Generator().manual_seed(options.seed)
    number = steps * options.batch_size
    sampler = WeightedRandomSampler(balanced_weights(pairs), number, generator=generator)
    dataset = patch_dataset(pairs, options.patch_size, options.seed)
    return DataLoader(dataset, batch_size=options.batch_size, sampler=sampler, num_workers=0)


def _rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: a linear rise, then half a cosine."""
    rise = min(1.0, (step + 1) / _WARM_UP_STEPS)
    fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, steps))))
    return rise * (_FINAL_RATE + (1.0 - _FINAL_RATE) * fall)


def _spread(pairs: list[SlicePair], number: int) -> list[SlicePair]:
    """Return a number of pairs evenly spread over each collection; all of them for 0."""
    if number == 0:
        return pairs
    by_collection: dict[str, list[SlicePair]] = {}
    for pair in pairs:
        by_collection.setdefault(pair.collection, []).append(pair)
    each = max(1, number // len(by_collection))
    return [
        members[round((index + 0.5) * len(members) / each - 0.5)]
        for members in by_collection.values()
        for index in range(each)
    ]
