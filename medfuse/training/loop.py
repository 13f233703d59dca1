"""Training: the loop over the steps of a stage, on MONAI's engine; at intervals it judges, saves and tells."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from medfuse.networks import save_weights
from medfuse.progress import Progress, showing
from medfuse.training.averaging import moving_average
from medfuse.training.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from medfuse.training.judges import Judge
from medfuse.training.logs import Logs
from medfuse.training.optimization import PartwiseAdam
from medfuse.training.options import TrainingOptions
from medfuse.training.patches import Item
from medfuse.training.record import Record
from medfuse.training.stages import Terms
from medfuse.training.team import Team

_log = logging.getLogger(__name__)

Objective: TypeAlias = Callable[[Tensor], Terms]
Batches: TypeAlias = Callable[[int, int], DataLoader[Item]]


@dataclass
class Stage:
    """One stage on its way.

    Attributes:
        name: I or II, or restore.
        steps: how many it has.
        before: steps of the stages before it.
        objective: maps a batch (B, 2, H, W) to the weighted terms of the loss.
        optimizer: takes the steps.
        average: the moving average of the weights; None for none.
        done: steps that are done.
    """

    name: str
    steps: int
    before: int
    objective: Objective
    optimizer: PartwiseAdam
    average: AveragedModel | None
    done: int = 0


@dataclass
class Loop:
    """What a run works on, and what happened so far.

    Attributes:
        network: the network in training.
        team: the processes that share the work.
        options: what the run depends on beside its data.
        batches: returns a loader of the batches from a number to before another; they are counted over all stages.
        judge: looks at the validation pairs.
        weights: the file that is rewritten at each look.
        provenance: what is saved with the weights, beside the record.
        identity: what the checkpoint is good for.
        logs: where curves go.
        progress: told how far each stage is.
        resumed: where to go on; None for the beginning.
        record: what happened so far.
    """

    network: nn.Module
    team: Team
    options: TrainingOptions
    batches: Batches
    judge: Judge
    weights: Path
    provenance: dict[str, Any]
    identity: dict[str, Any]
    logs: Logs
    progress: Progress
    resumed: Checkpoint | None = None
    record: Record = field(default_factory=Record)

    def __post_init__(self) -> None:
        if self.resumed is not None:
            self.network.load_state_dict(self.resumed.network)
            self.record = Record(**self.resumed.record)
        self._started = time.monotonic() - self.record.seconds

    def run(self, name: str, steps: int, before: int, objective: Objective) -> None:
        """Take the optimizer steps of one stage, or what is left of them.

        Args:
            name: I or II, or restore.
            steps: how many it has; 0 leaves it out.
            before: steps of the stages before it.
            objective: maps a batch (B, 2, H, W) to the weighted terms of the loss.

        Raises:
            MedfuseError: if the loss is often not finite, or the weights cannot be written.
        """
        if self.resumed is not None and self.resumed.stage != name:
            return
        stage = self._begun(name, steps, before, objective)
        if stage.done == stage.steps:
            return
        first, last = before + stage.done, before + steps
        engine = SupervisedTrainer(
            device=self.team.device,
            max_epochs=1,
            train_data_loader=self.batches(first, last),
            network=self.network,
            optimizer=stage.optimizer.adam,
            loss_function=objective,
            iteration_update=lambda _engine, batch: self._update(stage, batch["image"]),
            epoch_length=last - first,
        )
        engine.logger.setLevel(logging.WARNING)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: self._after_step(stage, engine.state.output))
        with showing(self.progress, f"stage {name}"):
            engine.run()

    def _begun(self, name: str, steps: int, before: int, objective: Objective) -> Stage:
        """Return a stage at its beginning, or where the run that goes on has left it."""
        options = self.options
        optimizer = PartwiseAdam(
            self.network,
            options.learning_rate,
            options.clip_norm,
            steps,
            self.team.add_up if self.team.size > 1 else None,
        )
        average = moving_average(self.network, options.ema_decay) if options.ema_decay > 0.0 else None
        stage = Stage(name, steps, before, objective, optimizer, average)
        if self.resumed is not None:
            optimizer.load_state_dict(self.resumed.optimizer)
            if average is not None:
                average.load_state_dict(self.resumed.average)
            stage.done, self.resumed = self.resumed.step, None
        return stage

    def _update(self, stage: Stage, image: Tensor) -> dict[str, float]:
        """Take one optimizer step, and return the weighted terms of its loss."""
        torch.manual_seed((self.options.seed + stage.before + stage.done) % 2**63)  # for a network that draws
        image = image.to(self.team.device, memory_format=torch.channels_last)
        halved = self.options.precision == "bfloat16"
        with torch.autocast(self.team.device.type, torch.bfloat16, enabled=halved):
            terms = stage.objective(image)
        rate = stage.optimizer.rate
        loss = torch.stack(list(terms.values())).sum()
        taken = stage.optimizer.step(loss)
        stage.done += 1
        if not taken:
            self.record.skip_step(stage.name, stage.done, self.options.bad_steps_allowed)
        elif stage.average is not None:
            stage.average.update_parameters(self.network)
        values = {name: term.item() for name, term in terms.items()}
        self.logs.scalars(
            {"loss": loss.item(), **{f"loss/{name}": value for name, value in values.items()}, "learning_rate": rate},
            stage.before + stage.done,
        )
        return values

    def _after_step(self, stage: Stage, terms: dict[str, float]) -> None:
        self.progress.advance(stage.done, stage.steps)
        if not self.team.leads:
            return
        ended = stage.done == stage.steps
        looked = ended or stage.done % self.options.validate_every == 0
        if looked:
            self._judge(stage, terms)
        if looked or stage.done % self.options.checkpoint_every == 0:
            self._save_checkpoint(stage)

    def _judge(self, stage: Stage, terms: dict[str, float]) -> None:
        """Look at the validation pairs, and save the weights with what is known by now."""
        network = self.network if stage.average is None else stage.average.module
        found = self.judge.look(network, self.team.device)
        self.record.seconds = time.monotonic() - self._started
        row = {
            "stage": stage.name,
            "step": stage.done,
            "seconds": round(self.record.seconds),
            "loss": {name: round(value, 4) for name, value in terms.items()},
            **found,
        }
        self.record.curve.append(row)
        _log.info("%s", row)
        save_weights(network, self.weights, {**self.provenance, "record": asdict(self.record)})
        self._log_look(network, found, stage.before + stage.done)

    def _log_look(self, network: nn.Module, found: dict[str, dict[str, Any]], step: int) -> None:
        """Log the scores of a look, and its pictures."""
        curves: dict[str, float] = {}
        for kind, values in found.items():
            for name, value in values.items():
                each = value if isinstance(value, dict) else {"": value}
                curves |= {f"{kind}/{name}/{score}".rstrip("/"): number for score, number in each.items()}
        self.logs.scalars(curves, step)
        if self.logs:
            for name, picture in self.judge.pictures(network, self.team.device):
                self.logs.picture(f"validation/{name}", picture, step)

    def _save_checkpoint(self, stage: Stage) -> None:
        record = {**asdict(self.record), "seconds": time.monotonic() - self._started}
        checkpoint = Checkpoint(
            identity=self.identity,
            stage=stage.name,
            step=stage.done,
            network=self.network.state_dict(),
            optimizer=stage.optimizer.state_dict(),
            average={} if stage.average is None else stage.average.state_dict(),
            record=record,
        )
        save_checkpoint(checkpoint, checkpoint_path(self.weights))
