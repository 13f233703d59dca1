"""How much of the sources' edges a fused image keeps.

Xydeas and Petrovic, "Objective image fusion performance measure", Electronics Letters, 2000.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.metrics.masking import check_mask, check_planar, check_range, sum_inside
from medfuse.metrics.numerics import length, ratio

_STRENGTH = (0.9994, -15.0, 0.5)  # Gamma, kappa and sigma of the strength sigmoid
_ORIENTATION = (0.9879, -22.0, 0.8)  # the same of the orientation sigmoid
_LEAST_GRADIENT = 1e-6  # gray levels; below it orientation is that of rounding, and its derivative overflows
_LEAST_STRENGTH = 1e-12
_GRAY_LEVELS = 255.0


def edge_transfer(
    first: Tensor, second: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> Tensor:
    """Return Q^AB/F: the share of both sources' edges, weighted by strength, found in the fused image.

    Args:
        first: (B, 1, H, W) gray levels, 0 to the range.
        second: same shape and range.
        fused: same shape and range.
        mask: bool of the same shape; pixels count where it is True, each with its 8 neighbors.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): from 0 to 0.975, which a perfect copy of all edges reaches. NaN where neither source has an
        edge that counts.

    Raises:
        OptionError: if the range is not above 0, the images are volumes, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, fused)
    edges = [Edges.of(image, data_range) for image in (first, second, fused)]
    return share_of_edges([transferred(source, edges[2], mask) for source in edges[:2]])


def source_edge_transfer(
    source: Tensor, fused: Tensor, mask: Tensor | None = None, data_range: float = 255.0
) -> Tensor:
    """Return the share of one source's edges, weighted by strength, found in the fused image.

    Args:
        source: (B, 1, H, W) gray levels, 0 to the range.
        fused: same shape and range.
        mask: bool of the same shape; pixels count where it is True, each with its 8 neighbors.
        data_range: the width of the range of gray levels.

    Returns:
        (B,): from 0 to 0.975. NaN where the source has no edge that counts.

    Raises:
        OptionError: if the range is not above 0, the images are volumes, or the mask does not fit.
    """
    check_range(data_range)
    check_mask(mask, fused)
    return share_of_edges([transferred(Edges.of(source, data_range), Edges.of(fused, data_range), mask)])


class Edges(NamedTuple):
    """Sobel edges of an image.

    Attributes:
        strength: (B, 1, H, W), in gray levels of 0 to 255.
        orientation: (B, 1, H, W), in radians, above -pi/2 and up to pi/2.
    """

    strength: Tensor
    orientation: Tensor

    @classmethod
    def of(cls, image: Tensor, data_range: float = 255.0) -> Edges:
        """Find the edges of an image, with zeros around it.

        Args:
            image: (B, 1, H, W) gray levels, 0 to the range.
            data_range: the width of the range of gray levels.

        Returns:
            The edges, scaled to the range of 0 to 255.

        Raises:
            OptionError: if the images are volumes.
        """
        check_planar(image, "edge transfer")
        wider = F.pad(image * (_GRAY_LEVELS / data_range), (1, 1, 1, 1))
        rows, columns = wider[..., 2:] - wider[..., :-2], wider[..., :-2, :] - wider[..., 2:, :]
        x = torch.add(rows[..., :-2, :] + rows[..., 2:, :], rows[..., 1:-1, :], alpha=2.0)
        y = torch.add(columns[..., :-2] + columns[..., 2:], columns[..., 1:-1], alpha=2.0)
        steep = (x.abs() < _LEAST_GRADIENT).to(x.dtype)
        slope = torch.atan(y / (x + steep))
        return cls(length(x, y), torch.lerp(slope, slope.new_tensor(math.pi / 2.0), steep))


def transferred(source: Edges, fused: Edges, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Measure the edges of a source, and what of them the fused image keeps.

    Args:
        source: edges of the source.
        fused: edges of the fused image.
        mask: bool (B, 1, H, W); pixels count where it is True.

    Returns:
        The edge strength that is found in the fused image, and all that there is, (B,) each.
    """
    weaker, stronger = torch.minimum(source.strength, fused.strength), torch.maximum(source.strength, fused.strength)
    equal = (source.strength == fused.strength).to(weaker.dtype)  # by custom their ratio is not 1 but the strength
    ratios = torch.lerp(weaker / stronger.clamp_min(_LEAST_STRENGTH), weaker, equal)
    agreement = 1.0 - (source.orientation - fused.orientation).abs() * (2.0 / math.pi)
    found = source.strength / (_dampening(ratios, _STRENGTH) * _dampening(agreement, _ORIENTATION))
    return sum_inside(found, mask).squeeze(1), sum_inside(source.strength, mask).squeeze(1)


def share_of_edges(transfers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the share of all sources' edges that was found.

    Args:
        transfers: what `transferred` measured of each source.

    Returns:
        (B,); NaN where there is no edge.
    """
    found, present = (torch.stack(parts).sum(dim=0) for parts in zip(*transfers, strict=True))
    return ratio(found, present)


def _dampening(x: Tensor, parameters: tuple[float, float, float]) -> Tensor:
    """Return one over the paper's sigmoid."""
    gamma, kappa, sigma = parameters
    return (1.0 + torch.exp(kappa * x - kappa * sigma)) / gamma
