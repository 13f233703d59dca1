"""Training: how well a network fuses the validation pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean
from typing import TypeAlias

import torch
from torch import Tensor, nn

from medfuse.metrics.fidelity import visual_information_fidelity
from medfuse.metrics.gradient import edge_transfer
from medfuse.progress import Progress, Silent, counted
from medfuse.training.slice_pairs import SlicePair
from medfuse.training.stages import decomposition_correlations

Fuse: TypeAlias = Callable[[Tensor], Tensor]
Scores: TypeAlias = dict[str, dict[str, float]]

_GRAY_LEVELS = 255.0


def score(
    fuse: Fuse, pairs: list[SlicePair], device: torch.device | str = "cpu", progress: Progress | None = None
) -> Scores:
    """Return the mean scores of a fusion rule for each collection of pairs.

    Args:
        fuse: maps (1, 2, H, W) in [0, 1] to (1, 1, H, W).
        pairs: the pairs to fuse.
        device: where to compute.
        progress: told how many pairs are done.

    Returns:
        ``{collection: {"edge_transfer": ..., "worst_source_vif": ...}}``; pairs with a blank source do not count.
    """
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for pair in counted(pairs, progress or Silent()):
        row = _score_pair(fuse, pair.image[None].to(device))
        if not any(math.isnan(value) for value in row):
            rows[pair.collection].append(row)
    return {
        collection: {
            "edge_transfer": fmean(row[0] for row in values),
            "worst_source_vif": fmean(row[1] for row in values),
        }
        for collection, values in sorted(rows.items())
    }


@torch.no_grad()
def _score_pair(fuse: Fuse, image: Tensor) -> tuple[float, float]:
    """Return edge transfer and worst-source fidelity of one pair (1, 2, H, W); NaN where a source is blank."""
    first, second = (_GRAY_LEVELS * image).chunk(2, dim=1)
    fused = _GRAY_LEVELS * fuse(image).float()
    kept = torch.cat([visual_information_fidelity(source, fused) for source in (first, second)])
    return edge_transfer(first, second, fused).item(), kept.min().item()


@torch.no_grad()
def feature_correlations(network: nn.Module, pairs: list[SlicePair], device: torch.device | str) -> dict[str, float]:
    """Return how far the features of the two modalities correlate, in the mean over pairs.

    Args:
        network: the network; one without ``decompose_and_fuse`` has no such features.
        pairs: the pairs to decompose.
        device: where the network is.

    Returns:
        ``{"base": ..., "detail": ...}``, each from -1 to 1; nothing for a network without features. The decomposition
        works if base rises to 1 and detail falls to 0.
    """
    decompose = getattr(network, "decompose_and_fuse", None)
    if decompose is None:
        return {}
    found = []
    for pair in pairs:
        _, first, second = decompose(pair.image[None].to(device))
        found.append(decomposition_correlations(first, second))
    return {kind: fmean(each[kind] for each in found) for kind in ("base", "detail")}


@torch.no_grad()
def fused_beside_sources(fuse: Fuse, pair: SlicePair, device: torch.device | str) -> Tensor:
    """Return first source, second source and fused picture side by side, (H, 3 W) in [0, 1] on the CPU."""
    image = pair.image[None].to(device)
    pictures = torch.cat([image, fuse(image).float().clamp(0.0, 1.0)], dim=1)  # (1, 3, H, W)
    return torch.cat(list(pictures[0]), dim=-1).cpu()
