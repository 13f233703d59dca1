"""Training: what a training run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field

from medfuse.errors import OptionError
from medfuse.networks import CDDFuseConfig
from medfuse.options import check_choice

PRECISIONS = ("float32", "bfloat16")
SMALLEST_PATCH = 41  # the coarsest of the four scales of the visual information fidelity needs so much


@dataclass(frozen=True)
class StageOneWeights:
    """Weights of the terms of stage I; the defaults are the published ones."""

    decomposition: float = 2.0
    gradient: float = 5.0


@dataclass(frozen=True)
class StageTwoWeights:
    """Weights of the terms of stage II; the defaults are the published ones, without the last two terms."""

    intensity: float = 1.0
    gradient: float = 10.0
    decomposition: float = 2.0
    worst_source: float = 0.0
    edge: float = 0.0


@dataclass(frozen=True)
class TrainingOptions:
    """Everything that a training run depends on beside its data.

    Attributes:
        network: numbers of the network.
        stage_one_steps: optimizer steps of stage I (reconstruct).
        stage_two_steps: optimizer steps of stage II (fuse).
        batch_size: pairs of patches in a step.
        patch_size: side of the square patches, in pixels, at least 41.
        learning_rate: highest learning rate; in each stage it rises over the first steps and falls by a cosine.
        clip_norm: largest norm of the gradient, for each of the four parts of the network.
        precision: ``"float32"``, or ``"bfloat16"`` for autocast with the losses in float32.
        validate_every: steps between two looks at the validation pairs.
        validation_pairs: how many validation pairs each look takes, evenly spread; 0 for all.
        device: where to train: ``"auto"``, or a name that torch knows.
        threads: threads of the CPU; 0 leaves the choice to torch. Sums come out alike for the same number only.
        seed: seed of weights, patches and augmentation.
        stage_one: weights of stage I.
        stage_two: weights of stage II.

    Raises:
        OptionError: if a number is outside what is allowed.
    """

    network: CDDFuseConfig = field(default_factory=CDDFuseConfig)
    stage_one_steps: int = 200
    stage_two_steps: int = 1000
    batch_size: int = 8
    patch_size: int = 64
    learning_rate: float = 5e-4
    clip_norm: float = 0.01
    precision: str = "float32"
    validate_every: int = 100
    validation_pairs: int = 12
    device: str = "cpu"
    threads: int = 0
    seed: int = 0
    stage_one: StageOneWeights = field(default_factory=StageOneWeights)
    stage_two: StageTwoWeights = field(default_factory=StageTwoWeights)

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        least = {
            "stage_one_steps": 0,
            "stage_two_steps": 0,
            "batch_size": 1,
            "patch_size": SMALLEST_PATCH,
            "validate_every": 1,
            "validation_pairs": 0,
            "threads": 0,
            "seed": 0,
        }
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least {smallest}"
                raise OptionError(msg)
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0.0:
                msg = f"{name} is {getattr(self, name)}; give a number above 0"
                raise OptionError(msg)
        if self.stage_one_steps + self.stage_two_steps == 0:
            msg = "stage_one_steps and stage_two_steps are both 0; give one of them steps"
            raise OptionError(msg)
