"""Single slices kept as PNG pictures, from which the network learns."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown

_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the published recipe converts false color
_LARGEST_SIDE = 4096


def read_gray(path: str | os.PathLike[str]) -> torch.Tensor:
    """Read a PNG picture as brightness.

    Args:
        path: a PNG of 8 bits per channel, gray or RGB (an opaque alpha channel is dropped).

    Returns:
        (H, W) float32 in [0, 1]; color becomes its luminance, 0.299 R + 0.587 G + 0.114 B.

    Raises:
        UnreadableFileError: if the file is missing, truncated or no PNG.
        InputError: if it is larger than 4096 a side, or of another kind of pixels.
    """
    path = Path(path)
    check_is_file(path)
    try:
        with warnings.catch_warnings(), Image.open(path, formats=("PNG",)) as picture:
            warnings.simplefilter("error")
            _check_kind(picture, shown(path))
            pixels = np.asarray(picture.convert("RGBA") if picture.mode == "RGBA" else picture)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Warning) as error:
        msg = f"{shown(path)} is not a readable PNG; copy or download it again"
        raise UnreadableFileError(msg) from error
    if pixels.ndim == 3:
        pixels = _opaque(pixels, shown(path)) @ np.array(_LUMINANCE)
    return torch.from_numpy((pixels / 255.0).astype(np.float32))


def _check_kind(picture: Image.Image, name: str) -> None:
    if max(picture.size) > _LARGEST_SIDE:
        msg = f"{name} has {picture.size[0]} x {picture.size[1]} pixels; give at most {_LARGEST_SIDE} a side"
        raise InputError(msg)
    if picture.mode not in ("L", "RGB", "RGBA"):
        msg = f"{name} has pixels of mode {picture.mode}; save it as 8-bit gray or RGB"
        raise InputError(msg)


def _opaque(pixels: np.ndarray, name: str) -> np.ndarray:
    """Drop an alpha channel that hides nothing."""
    if pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) < 255:
        msg = f"{name} has transparent pixels; save it as 8-bit gray or RGB"
        raise InputError(msg)
    return pixels[:, :, :3]
