"""Step 7 of 8, write: PET and SPECT as color over the fused image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from medfuse.io.color_palette import palette_rgb
from medfuse.transforms.volumes import on_grid_of

EMISSION = ("PT", "NM")

_LUMINANCE = (0.299, 0.587, 0.114)


def colorize(fused: Tensor, emission: Tensor, palette: str = "hot_iron") -> Tensor:
    """Give the fused image the color of the emission scan, keeping the fused brightness.

    The palette's color at the normalized uptake keeps its hue; its brightness is replaced by the fused image's. Where
    that would leave the range of a display, the color is mixed with gray of the same brightness until it fits, so no
    channel is clipped.

    Args:
        fused: (1, X, Y, Z) in [0, 1], or a batch of it.
        emission: normalized PET or SPECT, same shape.
        palette: name of a DICOM standard palette.

    Returns:
        (3, X, Y, Z) uint8, red, green, blue; or a batch of it.

    Raises:
        OptionError: if there is no such palette.
    """
    table = palette_rgb(palette)
    weights = table.new_tensor(_LUMINANCE)
    chroma = table - (table @ weights)[:, None]  # (256, 3)
    entries = (emission.squeeze(-4) * (len(table) - 1)).round().long()
    color = chroma[entries].movedim(-1, -4)  # (..., 3, X, Y, Z)
    room = torch.where(color > 0.0, (1.0 - fused) / color, -fused / color)
    room = room.masked_fill(color == 0.0, float("inf")).amin(dim=-4, keepdim=True)
    mixed = fused + color * room.clamp(0.0, 1.0)
    return (mixed.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)


class Colorized(Transform):  # type: ignore[misc]
    """Add a color volume; see ``colorize``.

    Args:
        pred_key: key of the fused volume (1, X, Y, Z).
        emission_key: key of the normalized PET or SPECT volume on the same grid.
        color_key: key of the result (3, X, Y, Z), uint8.
        palette: name of a DICOM standard palette.
    """

    def __init__(
        self,
        pred_key: str = "pred",
        emission_key: str = "moving",
        color_key: str = "color",
        palette: str = "hot_iron",
    ) -> None:
        self.pred_key = pred_key
        self.emission_key = emission_key
        self.color_key = color_key
        self.palette = palette

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary with the color volume added."""
        fused, emission = data[self.pred_key], data[self.emission_key]
        color = colorize(fused.as_tensor(), emission.as_tensor(), self.palette)
        return {**data, self.color_key: on_grid_of(fused, color, {"units": "RGB"})}
