"""The measures that medfuse's own tables lead with: each source by itself, and the one that is kept worst.

A sum over both sources hides the loss of one of them behind a copy of the other. Here each pairwise measure stands
for each source, and the worst of the two beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.contrast import average_gradient, spatial_frequency, standard_deviation
from medfuse.metrics.edges import edge_strength, share_not_found
from medfuse.metrics.features import feature_mutual_information
from medfuse.metrics.fidelity import fidelity, scales
from medfuse.metrics.foreground import foreground_mask
from medfuse.metrics.gradient import Edges, share_of_edges, transferred
from medfuse.metrics.information import entropy, normalized_mutual_information
from medfuse.metrics.masking import check_mask, check_range
from medfuse.metrics.structure import similarity, structure_moments

_PER_SOURCE = {"VIF": True, "Qabf": True, "SSIM": True, "NMI": True, "FMI": True, "lost": False}

HIGHER_IS_BETTER: dict[str, bool] = {
    **{f"{name}_{kind}": better for name, better in _PER_SOURCE.items() for kind in ("first", "second", "worst")},
    "invented": False,
    **dict.fromkeys(("EN", "SD", "SF", "AG"), True),
    **dict.fromkeys(("MI", "CC", "PSNR", "SCD", "VIF", "Qabf", "SSIM_range2", "SSIM_range255"), True),
    "MSE": False,
}
"""For each value of either suite, whether more of it is better."""


class _Case(NamedTuple):
    """What is judged: both sources and the fused image, where, and in which range of gray levels."""

    images: list[Tensor]
    mask: Tensor
    data_range: float


def sound_suite(
    first: Tensor, second: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> dict[str, Tensor]:
    """Score fused images, each source by itself, inside the foreground.

    On volumes VIF, Qabf and FMI, which are defined for images, are means over the slices along the last axis; the
    others look along all three axes.

    Args:
        first: (B, 1, H, W), or volumes (B, 1, X, Y, Z): gray levels, 0 to the range; H and W at least 41.
        second: same shape and range.
        fused: same shape and range.
        mask: bool of the same shape, True where pixels count; the `foreground_mask` of the sources if None.
        data_range: the width of the range of gray levels.

    Returns:
        Values of shape (B,), float64, by name: ``<NAME>_first``, ``<NAME>_second`` and ``<NAME>_worst`` for the names
        VIF, Qabf, SSIM, NMI, FMI and lost (of which the worst is the larger), then invented, EN in bits, SD, SF and
        AG. NaN where undefined; the worst is NaN only if both are.

    Raises:
        OptionError: if the images differ in shape, the range is not above 0, the images are too small, or the mask
            does not fit.
    """
    if not first.shape == second.shape == fused.shape:
        msg = f"first, second and fused have shapes {_shapes(first, second, fused)}; give three images of one shape"
        raise OptionError(msg)
    check_range(data_range)
    mask = foreground_mask(first, second, data_range) if mask is None else mask
    check_mask(mask, fused)
    case = _Case([image.double() for image in (first, second, fused)], mask, data_range)
    fused = case.images[2]
    strengths = [edge_strength(image) for image in case.images]
    lost = [share_not_found(strength, strengths[2], mask, data_range) for strength in strengths[:2]]
    return {
        **_each_and_worst("VIF", _by_slice(_fidelities, case)),
        **_each_and_worst("Qabf", _by_slice(_edge_transfers, case)),
        **_each_and_worst("SSIM", _similarities(case)),
        **_each_and_worst("NMI", _informations(case)),
        **_each_and_worst("FMI", _by_slice(_feature_informations, case)),
        **_each_and_worst("lost", lost),
        "invented": share_not_found(strengths[2], torch.maximum(*strengths[:2]), mask, data_range),
        "EN": entropy(fused, mask, data_range),
        "SD": standard_deviation(fused, mask),
        "SF": spatial_frequency(fused, mask),
        "AG": average_gradient(fused, mask),
    }


def _fidelities(case: _Case) -> list[Tensor]:
    first, second, fused = scales(case.images, case.data_range)
    return [fidelity(source, fused, case.mask) for source in (first, second)]


def _edge_transfers(case: _Case) -> list[Tensor]:
    first, second, fused = (Edges.of(image, case.data_range) for image in case.images)
    return [share_of_edges([transferred(source, fused, case.mask)]) for source in (first, second)]


def _similarities(case: _Case) -> list[Tensor]:
    *sources, fused = structure_moments(case.images)
    return [similarity(source, fused, source.covariance(fused), case.data_range, case.mask) for source in sources]


def _informations(case: _Case) -> list[Tensor]:
    *sources, fused = case.images
    return [normalized_mutual_information(source, fused, case.mask, case.data_range) for source in sources]


def _feature_informations(case: _Case) -> list[Tensor]:
    *sources, fused = case.images
    return [feature_mutual_information(source, fused, case.mask) for source in sources]


def _by_slice(measure: Callable[[_Case], list[Tensor]], case: _Case) -> list[Tensor]:
    """Let a measure of images judge volumes too: the mean over the slices along the last axis."""
    if case.mask.ndim == 4:
        return measure(case)
    slices = [volume.movedim(-1, 1).flatten(0, 1) for volume in (*case.images, case.mask)]  # (B*Z, 1, X, Y)
    values = measure(_Case(slices[:3], slices[3], case.data_range))
    return [value.view(case.mask.shape[0], -1).nanmean(dim=1) for value in values]


def _each_and_worst(name: str, values: Sequence[Tensor]) -> dict[str, Tensor]:
    first, second = values
    worst = torch.fmin(first, second) if _PER_SOURCE[name] else torch.fmax(first, second)
    return {f"{name}_first": first, f"{name}_second": second, f"{name}_worst": worst}


def _shapes(*images: Tensor) -> str:
    return ", ".join(str(tuple(image.shape)) for image in images)
