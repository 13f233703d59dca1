"""The color palettes that the DICOM standard defines for PET and SPECT (PS3.6, annex B)."""

from __future__ import annotations

import numpy as np
import torch

from medfuse.options import check_choice

try:
    from pydicom.pixels import apply_color_lut
except ImportError:  # pydicom 2 keeps it elsewhere
    from pydicom.pixel_data_handlers.util import apply_color_lut

_PALETTE_UIDS = {
    "hot_iron": "1.2.840.10008.1.5.1",
    "pet": "1.2.840.10008.1.5.2",
    "hot_metal_blue": "1.2.840.10008.1.5.3",
    "pet_20_step": "1.2.840.10008.1.5.4",
}
PALETTES = tuple(_PALETTE_UIDS)


def palette_rgb(name: str) -> torch.Tensor:
    """Return a standard palette.

    Args:
        name: ``"hot_iron"``, ``"pet"``, ``"hot_metal_blue"`` or ``"pet_20_step"``.

    Returns:
        Red, green and blue of the 256 entries from least to most, (256, 3) float32 in [0, 1].

    Raises:
        OptionError: if there is no such palette.
    """
    check_choice("palette", name, PALETTES)
    entries = apply_color_lut(np.arange(256, dtype=np.uint8), palette=_PALETTE_UIDS[name])
    return torch.from_numpy(entries.astype(np.float32) / np.float32(255.0))
