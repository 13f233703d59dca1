"""Training: what happened during a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from medfuse.errors import MedfuseError

_log = logging.getLogger(__name__)


@dataclass
class Record:
    """What happened during a run, as it is saved with the weights.

    Attributes:
        curve: one row for each look at the validation pairs: stage, step, seconds, loss, validation, and the
            correlations of the base and of the detail features of the two modalities.
        seconds: duration of the run so far.
        skipped_steps: steps whose loss or gradient was not finite.
    """

    curve: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    skipped_steps: int = 0

    def skip_step(self, stage: str, step: int, allowed: int) -> None:
        """Count a step whose loss or gradient was not finite.

        Args:
            stage: name of the stage.
            step: the step, from 1.
            allowed: how many such steps a run may have.

        Raises:
            MedfuseError: if there were too many of them.
        """
        self.skipped_steps += 1
        _log.warning("stage %s, step %d: the loss is not finite; the step is skipped", stage, step)
        if self.skipped_steps > allowed:
            msg = (
                f"stage {stage}, step {step}: the loss was not finite in {self.skipped_steps} steps; "
                "lower the learning rate, or bound the exponents with scale_clamp"
            )
            raise MedfuseError(msg)
