"""Training: what looks at the validation pairs, and shows pictures of them: one judge for fusion, one for restoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from medfuse.io.slice_sets import spread
from medfuse.metrics.structure import structural_similarity
from medfuse.training.degradations import DEGRADATIONS, degrade_at
from medfuse.training.noisy_patches import pictures_of
from medfuse.training.slice_pairs import SlicePair
from medfuse.training.validation import feature_correlations, fused_beside_sources, score


class Judge(Protocol):
    """What a run is judged by, at intervals."""

    def look(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, Any]]:
        """Return scores: ``{"validation": {collection: {score: value}}}``, and perhaps more of the kind."""

    def pictures(self, network: nn.Module, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Yield names and pictures (H, W) in [0, 1]."""


@dataclass(frozen=True)
class FusionJudge:
    """Judges fused pictures, and how far the features are decomposed.

    Attributes:
        pairs: the pairs that each look takes.
    """

    pairs: list[SlicePair]

    def look(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, Any]]:
        """Return the scores of each collection, and the correlations of the features."""
        return {
            "validation": score(network, self.pairs, device),
            "correlation": feature_correlations(network, self.pairs, device),
        }

    def pictures(self, network: nn.Module, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Yield the sources beside the fused picture, of one pair of each collection."""
        for pair in spread(self.pairs, 1):
            yield pair.collection, fused_beside_sources(network, pair, device)


@dataclass(frozen=True)
class NoisyPicture:
    """A picture to restore, and what should come out.

    Attributes:
        collection: modality and level, such as ``"MR 6 %"``.
        clean: (1, 1, H, W) in [0, 1].
        degraded: (1, 1, H, W).
    """

    collection: str
    clean: Tensor
    degraded: Tensor


@dataclass(frozen=True)
class RestorationJudge:
    """Judges restored pictures against clean ones.

    Attributes:
        noisy: the pictures that each look takes.
    """

    noisy: list[NoisyPicture]

    def look(self, network: nn.Module, device: torch.device) -> dict[str, dict[str, Any]]:
        """Return ``{"validation": {"MR 6 %": {"psnr_db": ..., "gain_db": ..., "ssim": ...}}}``."""
        rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for each in self.noisy:
            restored = _restored(network, each, device)
            before, after = (peak_signal_to_noise(each.clean, image) for image in (each.degraded, restored))
            alike = structural_similarity(each.clean, restored, 1.0).item()
            rows[each.collection].append((after, after - before, alike))
        names = ("psnr_db", "gain_db", "ssim")
        return {
            "validation": {
                collection: dict(zip(names, map(fmean, zip(*found, strict=True)), strict=True))
                for collection, found in rows.items()
            }
        }

    def pictures(self, network: nn.Module, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Yield a clean, its degraded and its restored picture side by side, of each collection."""
        for name, each in {each.collection: each for each in self.noisy}.items():
            shown = [each.clean, each.degraded.clamp(0.0, 1.0), _restored(network, each, device)]
            yield name, torch.cat([picture[0, 0] for picture in shown], dim=-1)


def fusion_judge(pairs: Sequence[SlicePair], number: int) -> FusionJudge:
    """Return a judge of fusion by about a number of validation pairs; 0 for all."""
    return FusionJudge(spread(pairs, number))


def restoration_judge(pairs: Sequence[SlicePair], modalities: Sequence[str], number: int) -> RestorationJudge:
    """Return a judge of restoration.

    Args:
        pairs: the validation pairs.
        modalities: what the network restores.
        number: how many pairs to take pictures from, spread over their collections; 0 for all.

    Returns:
        A judge with each picture at the three levels of its modality; the noise is the same at each look.
    """
    noisy = []
    for index, picture in enumerate(pictures_of(spread(pairs, number), modalities)):
        degradation = DEGRADATIONS[picture.modality]
        for level in degradation.judged:
            random = np.random.default_rng([index, int(level)])
            degraded = degrade_at(picture.image[0].numpy(), picture.modality, level, random)
            name = f"{picture.modality} {level:g} {degradation.unit}"
            noisy.append(NoisyPicture(name, picture.image[None], torch.from_numpy(degraded)[None, None]))
    return RestorationJudge(noisy)


def peak_signal_to_noise(clean: Tensor, image: Tensor) -> float:
    """Return the ratio of the value 1 to the mean error, in dB; values outside [0, 1] are clipped first.

    Args:
        clean: in [0, 1], any shape.
        image: same shape.
    """
    error = (image.clamp(0.0, 1.0) - clean).square().mean()
    return float(-10.0 * torch.log10(error.clamp_min(1e-12)))


@torch.no_grad()
def _restored(network: nn.Module, noisy: NoisyPicture, device: torch.device) -> Tensor:
    restored: Tensor = network(noisy.degraded.to(device)).float().clamp(0.0, 1.0).cpu()
    return restored
