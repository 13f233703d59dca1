"""Evaluation: the pairs of slices that methods are compared on, from PNG pictures or from volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from monai.transforms import Compose
from torch import Tensor

from medfuse.errors import InputError
from medfuse.evaluation.protocol import SMALLEST_SIDE
from medfuse.inferers.slices import spatial_dim_of, split_into_slices
from medfuse.io.checks import shown
from medfuse.io.png_slices import read_slice_pair
from medfuse.io.slice_sets import SlicePaths, pair_by_name, read_split, spread
from medfuse.io.volume_files import READABLE
from medfuse.options import RegistrationOptions
from medfuse.transforms import (
    ChooseWindowd,
    LoadVolumed,
    NormalizeModalityd,
    RegisterToFixedd,
    StackModalitiesd,
)

_PNG = (".png",)
_BOTH = ("fixed", "moving")


@dataclass(frozen=True)
class ImagePair:
    """One pair of co-registered slices in memory.

    Attributes:
        collection: the set that the pair belongs to, such as ``"CT-MRI"``.
        case: the patient or scan.
        name: of the slice.
        image: (2, H, W) float32 in [0, 1], MR first; color as its luminance.
    """

    collection: str
    case: str
    name: str
    image: Tensor


def read_image_pairs(
    data: Path, second: Path | None = None, part: str = "validation", number: int = 0
) -> list[ImagePair]:
    """Read pairs of slices.

    Args:
        data: a folder with ``splits.json`` and the PNG slices it lists; with ``second``, a folder of MR slices or
            volumes.
        second: folder of the other modality, whose files have the same names: PNG slices, or volumes that lie on
            those of ``data`` by their affines. Volumes go through the windows of their modality and are cut in the
            plane of finest spacing; slices in which a source is blank are left out.
        part: of the split, ``"train"`` or ``"validation"``.
        number: about how many pairs, evenly spread over the collections; 0 for all.

    Raises:
        InputError: if the folders hold no pairs, or a pair cannot be used.
    """
    if second is None:
        return [_read_png(paths) for paths in spread(read_split(data, part), number)]
    if any(path.name.lower().endswith(READABLE) for path in (data.iterdir() if data.is_dir() else ())):
        volumes, _ = pair_by_name(data, second, READABLE)
        return spread([pair for paths in volumes for pair in _read_volumes(paths)], number)
    pictures, _ = pair_by_name(data, second, _PNG)
    one_case = [replace(paths, case=second.name) for paths in pictures]  # nothing tells the patients apart
    return [_read_png(paths) for paths in spread(one_case, number)]


def _read_png(paths: SlicePaths) -> ImagePair:
    sources = read_slice_pair(paths.first, paths.second, SMALLEST_SIDE)
    image = torch.stack([source.gray for source in sources])
    return ImagePair(paths.collection, paths.case, paths.first.stem, image)


def _read_volumes(paths: SlicePaths) -> list[ImagePair]:
    prepare = Compose(
        [
            LoadVolumed(_BOTH),
            ChooseWindowd(_BOTH),
            RegisterToFixedd(options=RegistrationOptions(method="none")),
            NormalizeModalityd(_BOTH, inside_keys=(None, "inside")),
            StackModalitiesd(),
        ]
    )
    volume = prepare(dict(zip(_BOTH, (paths.first, paths.second), strict=True)))["image"]
    slices = split_into_slices(volume.as_tensor(), spatial_dim_of(volume.affine.numpy(), "auto"))
    if min(slices.shape[2:]) < SMALLEST_SIDE:
        msg = f"{shown(paths.first)} has slices of {tuple(slices.shape[2:])}; give at least {SMALLEST_SIDE} a side"
        raise InputError(msg)
    return [
        ImagePair(paths.collection, paths.case, f"slice {index}", image.contiguous())
        for index, image in enumerate(slices)
        if (image.amax(dim=(1, 2)) > image.amin(dim=(1, 2))).all()
    ]
