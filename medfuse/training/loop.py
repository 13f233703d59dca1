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

from medfuse.io.slice_sets import spread
from medfuse.networks import save_weights
from medfuse.progress import Progress, showing
from medfuse.training.averaging import moving_average
from medfuse.training.checkpoint import Checkpoint, checkpoint_path, save_checkpoint
from medfuse.training.logs import Logs
from medfuse.training.optimization import PartwiseAdam
from medfuse.training.options import TrainingOptions
from medfuse.training.patches import Patches, patch_loader
from medfuse.training.record import Record
from medfuse.training.slice_pairs import SlicePair
from medfuse.training.stages import Terms
from medfuse.training.team import Team
from medfuse.training.validation import feature_correlations, fused_beside_sources, score

_log = logging.getLogger(__name__)

Objective: TypeAlias = Callable[[Tensor], Terms]


@dataclass
class Stage:
    """One stage on its way.

    Attributes:
        name: I or II.
        steps: how many it has.
        before: steps of the stages before it.
        objective: maps (B, 2, H, W) to the weighted terms of the loss.
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
        patches: where batches come from.
        looked_at: the validation pairs.
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
    patches: Patches
    looked_at: list[SlicePair]
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
            name: I or II.
            steps: how many it has; 0 leaves it out.
            before: steps of the stages before it.
            objective: maps (B, 2, H, W) to the weighted terms of the loss.

        Raises:
            MedfuseError: if the loss is often not finite, or the weights cannot be written.
        """
        if self.resumed is not None and self.resumed.stage != name:
            return
        stage = self._begun(name, steps, before, objective)
        if stage.done == stage.steps:
            return
        options = self.options
        first, last = before + stage.done, before + steps
        engine = SupervisedTrainer(
            device=self.team.device,
            max_epochs=1,
            train_data_loader=patch_loader(self.patches, options.batch_size, first, last, options.workers),
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
        scores = score(network, self.looked_at, self.team.device)
        correlations = feature_correlations(network, self.looked_at, self.team.device)
        self.record.seconds = time.monotonic() - self._started
        row = {
            "stage": stage.name,
            "step": stage.done,
            "seconds": round(self.record.seconds),
            "loss": {name: round(value, 4) for name, value in terms.items()},
            "validation": scores,
            "correlation": correlations,
        }
        self.record.curve.append(row)
        _log.info("%s", row)
        save_weights(network, self.weights, {**self.provenance, "record": asdict(self.record)})
        self._log_look(network, row, stage.before + stage.done)

    def _log_look(self, network: nn.Module, row: dict[str, Any], step: int) -> None:
        """Log the scores, the two curves of the decomposition, and a picture of each collection."""
        curves = {f"correlation/{kind}": value for kind, value in row["correlation"].items()}
        for collection, scores in row["validation"].items():
            curves |= {f"validation/{collection}/{name}": value for name, value in scores.items()}
        self.logs.scalars(curves, step)
        if self.logs:
            for pair in spread(self.looked_at, 1):
                picture = fused_beside_sources(network, pair, self.team.device)
                self.logs.picture(f"validation/{pair.collection}", picture, step)

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
