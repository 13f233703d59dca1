"""The measures as MONAI metrics, for engines: ``y_pred`` is fused, ``y`` holds both sources.

Kept out of ``medfuse.metrics`` itself, which needs no MONAI.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.sound import sound_suite

Measure = Callable[[Tensor, Tensor, Tensor], Tensor]
Pairwise = Callable[[Tensor, Tensor], Tensor]
Suite = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]


class FusionMetric(CumulativeIterationMetric):  # type: ignore[misc]
    """One measure of fusion, accumulated over batches.

    Args:
        measure: function of first source, second source and fused image, (B, 1, ...) each, that returns (B,), such as
            `medfuse.metrics.invented_structure`; for one with options, ``functools.partial``.
        reduction: how MONAI reduces over images, "mean" for example; images whose value is NaN do not count.
    """

    def __init__(self, measure: Measure, reduction: str = "mean") -> None:
        super().__init__()
        self.measure = measure
        self.reduction = reduction

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None) -> Tensor:
        return self.measure(*_sources(y), y_pred)[:, None]

    def aggregate(self, reduction: str | None = None) -> Tensor:
        """Reduce what was accumulated.

        Args:
            reduction: in place of the one given at first.

        Returns:
            A scalar for "mean"; (images, 1) for "none".
        """
        reduced: Tensor = do_metric_reduction(self.get_buffer(), reduction or self.reduction)[0]
        return reduced


class FusionSuite(CumulativeIterationMetric):  # type: ignore[misc]
    """All values of a suite, accumulated over batches; an engine gets each under its own name.

    Args:
        suite: function of first source, second source and fused image that returns values (B,) by name.
    """

    def __init__(self, suite: Suite = sound_suite) -> None:
        super().__init__()
        self.suite = suite
        self._names: list[str] = []

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None) -> Tensor:
        values = self.suite(*_sources(y), y_pred)
        self._names = list(values)
        return torch.stack(list(values.values()), dim=1)

    def aggregate(self) -> dict[str, float]:
        """Return the mean of each value over the images for which it is defined."""
        return dict(zip(self._names, self.get_buffer().nanmean(dim=0).tolist(), strict=True))


def of_first(measure: Pairwise) -> Measure:
    """Let a measure of one source and the fused image look at the first source.

    Args:
        measure: function of source and fused image, such as `medfuse.metrics.visual_information_fidelity`.

    Returns:
        A measure for `FusionMetric`.
    """
    return lambda first, second, fused: measure(first, fused)


def of_second(measure: Pairwise) -> Measure:
    """Let a measure of one source and the fused image look at the second source.

    Args:
        measure: function of source and fused image.

    Returns:
        A measure for `FusionMetric`.
    """
    return lambda first, second, fused: measure(second, fused)


def of_worst(measure: Pairwise, higher_is_better: bool = True) -> Measure:
    """Let a measure of one source and the fused image look at both, and keep the worst for each image.

    Args:
        measure: function of source and fused image.
        higher_is_better: False if the larger value is the worse.

    Returns:
        A measure for `FusionMetric`; a source for which it is not defined does not count.
    """
    worst = torch.fmin if higher_is_better else torch.fmax
    return lambda first, second, fused: worst(measure(first, fused), measure(second, fused))


def _sources(y: Tensor | None) -> tuple[Tensor, Tensor]:
    if y is None or y.shape[1] != 2:
        found = "nothing" if y is None else f"shape {tuple(y.shape)}"
        msg = f"y is {found}; give both sources as two channels, (B, 2, ...)"
        raise OptionError(msg)
    return y[:, :1], y[:, 1:]
