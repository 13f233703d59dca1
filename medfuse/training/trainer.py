"""Training: the two-stage loop, on MONAI's engine.

``train()`` is the whole recipe: read pairs, stage I, stage II; at intervals, judge and save.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.utils import set_determinism
from torch import Tensor

from medfuse.errors import OutputError
from medfuse.inferers.device import resolve_device
from medfuse.io.slice_sets import read_split, split_hash
from medfuse.networks import CDDFuse, build, read_provenance, save_weights
from medfuse.progress import Progress, Silent, showing
from medfuse.training.optimization import PartwiseAdam
from medfuse.training.options import SMALLEST_PATCH, TrainingOptions
from medfuse.training.provenance import environment
from medfuse.training.record import Record
from medfuse.training.slice_pairs import SlicePair, patch_loader, read_pairs, spread
from medfuse.training.stages import Terms, stage_one_terms, stage_two_terms
from medfuse.training.validation import score

_log = logging.getLogger(__name__)

Objective: TypeAlias = Callable[[Tensor], Terms]


def train(
    data: Path,
    weights: Path,
    options: TrainingOptions,
    command: str,
    *,
    start_from: Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Record:
    """Train CDDFuse on pairs of slices in two stages, and save its weights.

    Args:
        data: folder with ``splits.json`` and the slices.
        weights: the ``.safetensors`` file to write; it is rewritten at each look at the validation pairs.
        options: what the run depends on.
        command: the command that reproduces the run, for the provenance.
        start_from: weights to go on from, with the network they were trained for; None for random ones.
        overwrite: replace a weights file that is there before the run.
        progress: told how far each stage is.

    Returns:
        The record that is also saved with the weights.

    Raises:
        MedfuseError: if the data cannot be read, the weights cannot be written, or the loss is often not finite.
    """
    _check_output(weights, overwrite)
    device = resolve_device(options.device)
    splits = {part: read_split(data, part) for part in ("train", "validation")}
    pairs = read_pairs(splits["train"], options.patch_size)
    held_out = read_pairs(splits["validation"], SMALLEST_PATCH)
    looked_at = spread(held_out, options.validation_pairs)
    hashes = {part: split_hash(paths, data) for part, paths in splits.items()}
    with _on_threads(options.threads):
        set_determinism(options.seed)
        built = build("cddfuse", start_from, None if start_from else options.network).train()
        network = cast(CDDFuse, built.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]
        provenance = {
            "command": command,
            "options": asdict(replace(options, network=network.config)),
            "data": hashes,
            "environment": environment(device),
            "started_from": None if start_from is None else read_provenance(start_from),
        }
        run = _Run(network, device, options, pairs, looked_at, weights, provenance, progress or Silent())
        run.stage("I", options.stage_one_steps, partial(stage_one_terms, network, weights=options.stage_one))
        run.stage("II", options.stage_two_steps, partial(stage_two_terms, network, weights=options.stage_two))
    return run.record


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
    if not weights.parent.is_dir():
        msg = f"{weights.parent} is no folder; create it first"
        raise OutputError(msg)


@dataclass
class _Run:
    """A run on its way: what it works on, and what happened so far."""

    network: CDDFuse
    device: torch.device
    options: TrainingOptions
    pairs: list[SlicePair]
    looked_at: list[SlicePair]
    weights: Path
    provenance: dict[str, Any]
    progress: Progress
    record: Record = field(default_factory=Record)
    started: float = field(default_factory=time.monotonic)

    def stage(self, name: str, steps: int, objective: Objective) -> None:
        """Take the optimizer steps of one stage, judging at regular intervals and at its end."""
        if steps == 0:
            return
        options = self.options
        interval = min(options.validate_every, steps)
        optimizer = PartwiseAdam(self.network, options.learning_rate, options.clip_norm, steps)
        engine = SupervisedTrainer(
            device=self.device,
            max_epochs=-(-steps // interval),
            train_data_loader=patch_loader(self.pairs, options.patch_size, options.batch_size, interval, options.seed),
            network=self.network,
            optimizer=optimizer.adam,
            loss_function=objective,
            iteration_update=lambda engine, batch: self._update(
                name, engine.state.iteration, optimizer, objective, batch
            ),
            epoch_length=interval,
        )
        engine.logger.setLevel(logging.WARNING)

        def after_step() -> None:
            step = engine.state.iteration
            self.progress.advance(step, steps)
            if step % interval == 0 or step == steps:
                self._judge(name, step, engine.state.output)
            if step == steps:
                engine.terminate()

        engine.add_event_handler(Events.ITERATION_COMPLETED, after_step)
        with showing(self.progress, f"stage {name}"):
            engine.run()

    def _update(
        self, stage: str, step: int, optimizer: PartwiseAdam, objective: Objective, batch: dict[str, Any]
    ) -> dict[str, float]:
        """Take one optimizer step, and return the weighted terms of its loss."""
        image = batch["image"].as_tensor().to(self.device, memory_format=torch.channels_last)
        halved = self.options.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=halved):
            terms = objective(image)
        if not optimizer.step(torch.stack(list(terms.values())).sum()):
            self.record.skip_step(stage, step)
        return {name: round(term.item(), 4) for name, term in terms.items()}

    def _judge(self, stage: str, step: int, terms: dict[str, float]) -> None:
        """Look at the validation pairs, and save the weights with what is known by now."""
        scores = score(self.network, self.looked_at, self.device)
        self.record.seconds = time.monotonic() - self.started
        seconds = round(self.record.seconds)
        self.record.curve.append(
            {"stage": stage, "step": step, "seconds": seconds, "loss": terms, "validation": scores}
        )
        _log.info("stage %s, step %d: %s; %s", stage, step, terms, scores)
        save_weights(self.network, self.weights, {**self.provenance, "record": asdict(self.record)})
