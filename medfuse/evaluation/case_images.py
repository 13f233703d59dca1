"""Evaluation: the images of a case, brought to one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from monai.data import MetaTensor
from torch import Tensor

from medfuse.errors import InputError, OptionError
from medfuse.evaluation.cases import FusedCase
from medfuse.evaluation.protocol import SMALLEST_SIDE
from medfuse.geometry import same_grid
from medfuse.inferers.slices import spatial_dim_of
from medfuse.io.checks import shown
from medfuse.io.png_slices import read_gray
from medfuse.io.volume_files import read_volume
from medfuse.transforms.load import load_volume
from medfuse.transforms.normalize import normalize_intensity

Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class CaseImages:
    """The images of one case, in [0, 1].

    Attributes:
        first: (1, 1, H, W), or a volume (1, 1, X, Y, Z) whose slices lie along the last axis.
        second: same shape.
        fused: same shape.
        mask: bool of the same shape, or None.
    """

    first: Tensor
    second: Tensor
    fused: Tensor
    mask: Tensor | None

    @property
    def is_volume(self) -> bool:
        """Whether these are volumes, and not single slices."""
        return self.first.ndim == 5

    def slice_at(self, index: int) -> CaseImages:
        """Return one slice of the volumes, as images (1, 1, X, Y)."""
        mask = None if self.mask is None else self.mask[..., index]
        return CaseImages(self.first[..., index], self.second[..., index], self.fused[..., index], mask)

    def slices_with_picture(self) -> list[int]:
        """Return which slices of the volumes are blank in neither source."""
        sources = torch.cat([self.first, self.second]).flatten(1, 3)  # (2, X*Y, Z)
        pictured = (sources.amax(dim=1) > sources.amin(dim=1)).all(dim=0)
        return [int(index) for index in pictured.nonzero()]


def read_images(case: FusedCase, value_range: Range | None = None) -> CaseImages:
    """Read the images of a case.

    PNG pictures are in [0, 1] by their bits. Volumes that a source file holds go through the window of their modality
    as in ``medfuse fuse``; a fused volume is taken as it is if its values lie in [0, 1], else from its least to its
    largest value. With a range all three go from that to [0, 1].

    Args:
        case: the files.
        value_range: the values of volumes that become 0 and 1.

    Raises:
        InputError: if a file cannot be used, or the images differ in kind, size or grid.
        OptionError: if the range is empty.
    """
    if value_range is not None and not value_range[0] < value_range[1]:
        msg = f"range is {value_range[0]:g} to {value_range[1]:g}; give the lower end first"
        raise OptionError(msg)
    pictures = {path.name.lower().endswith(".png") for path in case.files}
    if pictures == {True}:
        return _pictures(case)
    if pictures == {False}:
        return _volumes(case, value_range)
    msg = f"case {case.case!r} mixes PNG pictures with volumes; give all of one kind"
    raise InputError(msg)


def _pictures(case: FusedCase) -> CaseImages:
    images = [read_gray(path)[None, None] for path in case.files]
    _check_shapes(case, [tuple(image.shape[2:]) for image in images])
    return CaseImages(images[0], images[1], images[2], images[3] > 0.0 if case.mask else None)


def _volumes(case: FusedCase, value_range: Range | None) -> CaseImages:
    volumes = [read_volume(path) for path in case.files]
    _check_grids(case, volumes)
    dim = spatial_dim_of(volumes[0].affine.numpy(), "auto")
    if value_range is None:
        sources = [normalize_intensity(load_volume(path))[0] for path in (case.first, case.second)]
        images = [*(source.as_tensor() for source in sources), _unit_range(volumes[2].as_tensor())]
    else:
        low, high = value_range
        images = [((volume.as_tensor() - low) / (high - low)).clamp(0.0, 1.0) for volume in volumes[:3]]
    first, second, fused = (image.movedim(dim + 1, -1)[None] for image in images)  # (1, 1, X, Y, Z), slices last
    _check_shapes(case, [tuple(first.shape[2:4])])
    mask = (volumes[3].as_tensor() != 0.0).movedim(dim + 1, -1)[None] if case.mask else None
    return CaseImages(first, second, fused, mask)


def _unit_range(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    return values if low >= 0.0 and high <= 1.0 else (values - low) / (high - low)


def _check_grids(case: FusedCase, volumes: list[MetaTensor]) -> None:
    grid = volumes[0].affine.numpy(), tuple(volumes[0].shape[1:])
    for path, volume in zip(case.files, volumes, strict=True):
        if not same_grid(*grid, volume.affine.numpy(), tuple(volume.shape[1:])):
            msg = f"{shown(path)} does not lie on the grid of {shown(case.first)}; give moving_registered, or resample"
            raise InputError(msg)


def _check_shapes(case: FusedCase, shapes: list[tuple[int, ...]]) -> None:
    if len(set(shapes)) > 1:
        sizes = ", ".join(" x ".join(map(str, shape)) for shape in shapes)
        msg = f"case {case.case!r} has pictures of {sizes} pixels; give pictures of one size"
        raise InputError(msg)
    if min(shapes[0]) < SMALLEST_SIDE:
        msg = f"case {case.case!r} has slices of {shapes[0]} pixels; give at least {SMALLEST_SIDE} a side"
        raise InputError(msg)
