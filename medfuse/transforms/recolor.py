"""Step 7 of 8, write: the color of a false-color source under the brightness of the fused image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from medfuse.io.png_slices import LUMINANCE


def recolor(fused: Tensor, color: Tensor) -> Tensor:
    """Give a fused image the chroma of a colored source.

    Where the two do not fit into the range together, the chroma is lowered until they do: each pixel keeps the fused
    luminance exactly and the hue of the source, and nothing is clipped.

    Args:
        fused: (..., 1, H, W) luminance in [0, 1].
        color: (..., 3, H, W) red, green, blue in [0, 1].

    Returns:
        (..., 3, H, W) in [0, 1].
    """
    weights = color.new_tensor(LUMINANCE)[:, None, None]
    chroma = color - (weights * color).sum(dim=-3, keepdim=True)  # it has no luminance of its own
    room = torch.where(chroma > 0.0, 1.0 - fused, fused)
    scale = (room / chroma.abs().clamp_min(torch.finfo(chroma.dtype).tiny)).amin(dim=-3, keepdim=True).clamp_max(1.0)
    return (fused + scale * chroma).clamp(0.0, 1.0)  # rounding alone can leave the range


class Recolord(Transform):  # type: ignore[misc]
    """Add a picture of the fused image in color; see ``recolor``.

    Args:
        pred_key: key of the fused image (1, H, W).
        source_key: key of the colored source (3, H, W).
        color_key: key of the result (3, H, W).
    """

    def __init__(self, pred_key: str = "pred", source_key: str = "source", color_key: str = "color") -> None:
        self.pred_key = pred_key
        self.source_key = source_key
        self.color_key = color_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the color picture added."""
        return {**data, self.color_key: recolor(data[self.pred_key], data[self.source_key])}
