"""Training: the slices of two volumes of one patient, as the main job would show them to the network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from medfuse.errors import GeometryError, InputError
from medfuse.geometry import same_grid
from medfuse.inferers.slices import spatial_dim_of, split_into_slices
from medfuse.io.checks import shown
from medfuse.training.slice_pairs import SlicePair
from medfuse.transforms.load import load_volume
from medfuse.transforms.normalize import normalize_intensity
from medfuse.transforms.stack import stack_modalities

MOST_SLICES = 48  # neighbors are alike, and all slices have to fit into the memory
_BRIGHT = 0.05
_LEAST_PICTURE = 0.01  # share of the pixels that must be bright in both sources


def slices_of_volumes(first: Path, second: Path, case: str, smallest_side: int) -> list[SlicePair]:
    """Cut two co-registered volumes into pairs of slices.

    Values go through the windows that the main job would choose, and slices lie across the coarsest spacing. Slices
    that are nearly black in either source are left out; of many, evenly spread ones are taken.

    Args:
        first: a volume file.
        second: the other modality's, on the same grid.
        case: the patient.
        smallest_side: refuse slices with a side below this, in pixels.

    Returns:
        At most 48 pairs, MR first, of a collection named by the modalities, such as ``"CT-MR"``.

    Raises:
        InputError: if a file cannot be used, the grids differ, or no slice shows anything in both.
    """
    volumes = [load_volume(path) for path in (first, second)]
    affines = [volume.affine.numpy() for volume in volumes]
    if not same_grid(affines[0], tuple(volumes[0].shape[1:]), affines[1], tuple(volumes[1].shape[1:])):
        msg = (
            f"{shown(first)} and {shown(second)} lie on other grids; register them with `medfuse fuse`, and give its "
            "moving_registered.nii.gz"
        )
        raise GeometryError(msg)
    stacked = stack_modalities(*(normalize_intensity(volume)[0] for volume in volumes))
    slices = split_into_slices(stacked.as_tensor(), spatial_dim_of(affines[0], "auto"))  # (N, 2, H, W)
    if min(slices.shape[2:]) < smallest_side:
        size = " x ".join(map(str, slices.shape[2:]))
        msg = f"{shown(first)} has slices of {size} pixels; give slices of at least {smallest_side} a side"
        raise InputError(msg)
    shown_in_both = slices[_with_picture(slices)]
    if len(shown_in_both) == 0:
        msg = f"{shown(first)} and {shown(second)} have no slice that shows something in both; leave the pair out"
        raise InputError(msg)
    first_channel, second_channel = stacked.meta["channels"]
    collection = f"{second_channel}-{first_channel}"
    return [SlicePair(collection, case, image.contiguous()) for image in _spread(shown_in_both)]


def _with_picture(slices: Tensor) -> Tensor:
    """Tell which slices (N, 2, H, W) show something in both channels, (N,) bool."""
    return (slices > _BRIGHT).flatten(2).float().mean(dim=2).amin(dim=1) >= _LEAST_PICTURE


def _spread(slices: Tensor) -> Tensor:
    """Take at most so many slices, evenly spread."""
    number = min(MOST_SLICES, len(slices))
    return slices[torch.linspace(0, len(slices) - 1, number).round().long()]
