"""Single slices kept as PNG pictures: what the published repositories read and write, and training learns from."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the published recipe converts false color

Pixels: TypeAlias = npt.NDArray[Any]

_BITS = {"L": 8, "RGB": 8, "RGBA": 8, "I;16": 16, "I": 16}  # Pillow 10 calls gray PNG of 16 bits "I"
_LARGEST_SIDE = 4096
_TINT = 2  # levels by which the channels of a gray picture may differ after lossy compression


@dataclass(frozen=True)
class PngSlice:
    """A slice as it is in its file.

    Attributes:
        gray: (H, W) float32 in [0, 1]; of color the luminance, 0.299 R + 0.587 G + 0.114 B.
        color: (3, H, W) float32 in [0, 1], or None for a picture without color.
        bits: of each pixel and channel, 8 or 16.
    """

    gray: Tensor
    color: Tensor | None
    bits: int


def read_slice(path: str | os.PathLike[str]) -> PngSlice:
    """Read a PNG picture.

    Args:
        path: a PNG: gray of 8 or 16 bits, or RGB of 8 bits (an opaque alpha channel is dropped).

    Raises:
        UnreadableFileError: if the file is missing, truncated or no PNG.
        InputError: if it is larger than 4096 a side, or of another kind of pixels.
    """
    path = Path(path)
    pixels, bits = _read_pixels(path)
    largest = 2.0**bits - 1.0
    if pixels.ndim == 2:
        return PngSlice(_tensor(pixels / largest), None, bits)
    channels = _opaque(pixels, shown(path))
    colored = int(np.ptp(channels, axis=2).max()) > _TINT
    color = _tensor(np.moveaxis(channels, 2, 0) / largest) if colored else None
    return PngSlice(_tensor(channels @ np.array(LUMINANCE) / largest), color, bits)


def read_gray(path: str | os.PathLike[str]) -> Tensor:
    """Read a PNG picture as brightness, (H, W) float32 in [0, 1]; see ``read_slice``."""
    return read_slice(path).gray


def read_slice_pair(
    first: str | os.PathLike[str], second: str | os.PathLike[str], smallest_side: int = 1
) -> tuple[PngSlice, PngSlice]:
    """Read two co-registered slices.

    Args:
        first: a PNG picture.
        second: another of the same size.
        smallest_side: refuse pictures with a side below this, in pixels.

    Raises:
        UnreadableFileError: if a slice cannot be read.
        InputError: if the two differ in size, or are too small.
    """
    pair = read_slice(first), read_slice(second)
    sizes = [" x ".join(map(str, reversed(one.gray.shape))) for one in pair]
    if sizes[0] != sizes[1]:
        msg = f"{shown(first)} has {sizes[0]} pixels, {shown(second)} {sizes[1]}; give co-registered slices of one size"
        raise InputError(msg)
    if min(pair[0].gray.shape) < smallest_side:
        msg = f"{shown(first)} has {sizes[0]} pixels; give slices of at least {smallest_side} a side"
        raise InputError(msg)
    return pair


def write_slice(picture: Tensor, path: str | os.PathLike[str], bits: int = 8) -> None:
    """Write a picture as PNG; the same picture gives the same bytes.

    Args:
        picture: (H, W) gray or (3, H, W) color in [0, 1]; rounded to the nearest level.
        path: the file to write.
        bits: 8, or 16 for gray.
    """
    largest = 2**bits - 1
    levels = (picture.double().clamp(0.0, 1.0) * largest).round().numpy()
    pixels = levels.astype(np.uint8 if bits == 8 else np.uint16)
    Image.fromarray(np.moveaxis(pixels, 0, 2) if pixels.ndim == 3 else pixels).save(path, format="PNG")


def _read_pixels(path: Path) -> tuple[Pixels, int]:
    """Return levels, (H, W) or (H, W, channels), and the bits that each has."""
    check_is_file(path)
    try:
        with warnings.catch_warnings(), Image.open(path, formats=("PNG",)) as picture:
            warnings.simplefilter("error")
            _check_kind(picture, shown(path))
            return np.asarray(picture), _BITS[picture.mode]
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Warning) as error:
        msg = f"{shown(path)} is not a readable PNG; copy or download it again"
        raise UnreadableFileError(msg) from error


def _tensor(values: Pixels) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _check_kind(picture: Image.Image, name: str) -> None:
    if max(picture.size) > _LARGEST_SIDE:
        msg = f"{name} has {picture.size[0]} x {picture.size[1]} pixels; give at most {_LARGEST_SIDE} a side"
        raise InputError(msg)
    if picture.mode not in _BITS:
        msg = f"{name} has pixels of mode {picture.mode}; save it as gray of 8 or 16 bits, or 8-bit RGB"
        raise InputError(msg)


def _opaque(pixels: Pixels, name: str) -> Pixels:
    """Drop an alpha channel that hides nothing."""
    if pixels.shape[2] == 4 and int(pixels[:, :, 3].min()) < 255:
        msg = f"{name} has transparent pixels; save it as 8-bit gray or RGB"
        raise InputError(msg)
    return pixels[:, :, :3]
