"""Training: what a training run depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from medfuse.errors import OptionError
from medfuse.losses import MEASURES, Goal
from medfuse.networks import CDDFuseConfig, CDDFuseFastConfig, RestormerConfig, UnfusingConfig
from medfuse.options import MODALITIES, check_choice

NetworkConfig: TypeAlias = CDDFuseConfig | CDDFuseFastConfig | RestormerConfig | UnfusingConfig
PRECISIONS = ("float32", "bfloat16")
CONFIGS: dict[str, type[NetworkConfig]] = {
    "cddfuse": CDDFuseConfig,
    "cddfuse-fast": CDDFuseFastConfig,
    "unfusing": UnfusingConfig,
    "restormer": RestormerConfig,
}
SMALLEST_PATCH = 41  # the coarsest of the four scales of the visual information fidelity needs so much


@dataclass(frozen=True)
class StageOneWeights:
    """Weights of the terms of stage I; the defaults are the published ones."""

    decomposition: float = 2.0
    gradient: float = 5.0


@dataclass(frozen=True)
class StageTwoWeights:
    """Weights of the terms of stage II; the defaults are the published ones, without the terms that medfuse adds.

    Attributes:
        intensity: of the distance to the brighter source.
        gradient: of the distance to the stronger gradient.
        decomposition: of the correlation of the features.
        invented: of edges that no source has.
        lost: of the salient edges that the fused image lacks, of the source that loses more.
        overshoot: of values below 0 and above 1, for a network that can draw some.
        distillation: of the distance to the teacher's picture.
        likelihood: of the latent's negative log-likelihood, for a network that has a latent.
        discrepancy: of the latent's discrepancy from noise that knows nothing of the fused image.
        goals: marks to surpass, by measure; see ``medfuse.losses.surpass_losses``.

    Raises:
        OptionError: if a goal is for an unknown measure.
    """

    intensity: float = 1.0
    gradient: float = 10.0
    decomposition: float = 2.0
    invented: float = 0.0
    lost: float = 0.0
    overshoot: float = 0.0
    distillation: float = 0.0
    likelihood: float = 0.0
    discrepancy: float = 0.0
    goals: Mapping[str, Goal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.goals:
            check_choice("a goal", name, tuple(MEASURES))


@dataclass(frozen=True)
class PatchSize:
    """Sizes of the batches of a part of a run.

    Attributes:
        until: share of the steps at which the part ends, above 0 and at most 1.
        patch_size: side of the square patches, in pixels.
        batch_size: patches in a step.
    """

    until: float
    patch_size: int
    batch_size: int


@dataclass(frozen=True)
class RestorationOptions:
    """How a restorer is trained.

    Attributes:
        steps: optimizer steps.
        sizes: the progressive patch sizes, in the order of their ends; the last one ends at 1.
        modalities: what it learns to restore, of MR, CT, PT and NM.
        softness: of the corner of the absolute difference in the loss (Charbonnier), above 0.

    Raises:
        OptionError: if a number is outside what is allowed.
    """

    steps: int = 0
    sizes: tuple[PatchSize, ...] = (PatchSize(0.5, 64, 8), PatchSize(0.8, 96, 4), PatchSize(1.0, 128, 2))
    modalities: tuple[str, ...] = MODALITIES
    softness: float = 1e-3

    def __post_init__(self) -> None:
        ends = [size.until for size in self.sizes]
        if not ends or ends != sorted(ends) or ends[0] <= 0.0 or ends[-1] != 1.0:
            msg = f"sizes end at {ends}; let them rise from above 0 to 1"
            raise OptionError(msg)
        if self.steps < 0 or any(size.patch_size < SMALLEST_PATCH or size.batch_size < 1 for size in self.sizes):
            msg = f"give steps of at least 0, patch_size of at least {SMALLEST_PATCH} and batch_size of at least 1"
            raise OptionError(msg)
        if not self.modalities:
            msg = f"modalities is empty; give some of {', '.join(MODALITIES)}"
            raise OptionError(msg)
        for modality in self.modalities:
            check_choice("a modality", modality, MODALITIES)
        if not self.softness > 0.0:
            msg = f"softness is {self.softness}; give a number above 0"
            raise OptionError(msg)

    def size_at(self, step: int) -> PatchSize:
        """Return the sizes of a step, counted from 0."""
        return next(size for size in self.sizes if step < size.until * self.steps)


@dataclass(frozen=True)
class TrainingOptions:
    """Everything that a training run depends on beside its data.

    Attributes:
        architecture: which network: ``"cddfuse"``; ``"cddfuse-fast"`` or ``"unfusing"``, which have no stage I; or
            ``"restormer"``, which ``restoration`` trains.
        network: numbers of the network.
        teacher: weights whose pictures are the target of distillation: a file, ``"default"`` for those shipped for
            ``cddfuse-fast``, or None.
        stage_one_steps: optimizer steps of stage I (reconstruct).
        stage_two_steps: optimizer steps of stage II (fuse).
        batch_size: pairs of patches in a step.
        patch_size: side of the square patches, in pixels, at least 41.
        learning_rate: highest learning rate; in each stage it rises over the first steps and falls by a cosine.
        clip_norm: largest norm of the gradient, for each part of the network.
        ema_decay: share that the moving average of the weights keeps in a step, below 1; the average is what is judged
            and saved. 0 judges and saves the last weights.
        bad_steps_allowed: steps without a finite loss and gradient that are skipped before the run stops.
        precision: ``"float32"``, or ``"bfloat16"`` for autocast with the losses in float32.
        validate_every: steps between two looks at the validation pairs.
        validation_pairs: how many validation pairs each look takes, evenly spread; 0 for all.
        checkpoint_every: steps between two checkpoints, from which an interrupted run goes on.
        device: where to train: ``"auto"``, or a name that torch knows.
        workers: processes that cut patches ahead; 0 for none. They change nothing but the time.
        threads: threads of the CPU; 0 leaves the choice to torch. Sums come out alike for the same number only.
        seed: seed of weights, patches and augmentation.
        stage_one: weights of stage I.
        stage_two: weights of stage II.
        restoration: how a restorer is trained; its sizes go before ``batch_size`` and ``patch_size``.

    Raises:
        OptionError: if a number is outside what is allowed.
    """

    architecture: str = "cddfuse"
    network: NetworkConfig = field(default_factory=CDDFuseConfig)
    teacher: str | None = None
    stage_one_steps: int = 200
    stage_two_steps: int = 1000
    batch_size: int = 8
    patch_size: int = 64
    learning_rate: float = 5e-4
    clip_norm: float = 0.01
    ema_decay: float = 0.0
    bad_steps_allowed: int = 10
    precision: str = "float32"
    validate_every: int = 100
    validation_pairs: int = 12
    checkpoint_every: int = 100
    device: str = "cpu"
    workers: int = 0
    threads: int = 0
    seed: int = 0
    stage_one: StageOneWeights = field(default_factory=StageOneWeights)
    stage_two: StageTwoWeights = field(default_factory=StageTwoWeights)
    restoration: RestorationOptions = field(default_factory=RestorationOptions)

    def __post_init__(self) -> None:
        check_choice("architecture", self.architecture, tuple(CONFIGS))
        check_choice("precision", self.precision, PRECISIONS)
        least = {
            "stage_one_steps": 0,
            "stage_two_steps": 0,
            "batch_size": 1,
            "patch_size": SMALLEST_PATCH,
            "validate_every": 1,
            "validation_pairs": 0,
            "bad_steps_allowed": 0,
            "checkpoint_every": 1,
            "workers": 0,
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
        if not 0.0 <= self.ema_decay < 1.0:
            msg = f"ema_decay is {self.ema_decay}; give a number from 0 to below 1"
            raise OptionError(msg)
        self._check_steps()

    @property
    def restores(self) -> bool:
        """Whether the network is a restorer."""
        return self.architecture == "restormer"

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Every number of patches that a step of the run may have."""
        return tuple(size.batch_size for size in self.restoration.sizes) if self.restores else (self.batch_size,)

    @property
    def largest_patch(self) -> int:
        """The largest side of the patches, in pixels."""
        return max(size.patch_size for size in self.restoration.sizes) if self.restores else self.patch_size

    def _check_steps(self) -> None:
        """Refuse steps that the network does not have, and none at all."""
        fusion_steps = self.stage_one_steps + self.stage_two_steps
        if fusion_steps > 0 if self.restores else self.restoration.steps > 0:
            msg = f"{self.architecture} has no such stage; give restormer restoration.steps, the others stage_..._steps"
            raise OptionError(msg)
        if fusion_steps + self.restoration.steps == 0:
            msg = "stage_one_steps and stage_two_steps are both 0, restoration.steps too; give one of them steps"
            raise OptionError(msg)
