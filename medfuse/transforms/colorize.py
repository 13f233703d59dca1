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


def colorize(fused: Tensor, emission: Tensor, palette: str = "hot_iron") -> Tensor:
    """Tint the fused image with the palette's color at each uptake.

    The brightest of the three channels is the fused image itself, so nothing is clipped and no shade is lost; the
    other two are lowered until hue and saturation are the palette's. Where the palette is dark, at little uptake, the
    tint fades into gray.

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
    tint = 1.0 - table.amax(dim=1, keepdim=True) + table  # (256, 3), the palette over white
    entries = (emission.squeeze(-4) * (len(table) - 1)).round().long()
    color = fused * tint[entries].movedim(-1, -4)  # (..., 3, X, Y, Z)
    return (color * 255.0).round().to(torch.uint8)


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
