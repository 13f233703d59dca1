"""Whether the slices of a fused volume jump in brightness where those of its sources do not."""

from __future__ import annotations

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics.masking import check_mask


def flicker(first: Tensor, second: Tensor, fused: Tensor, spatial_dim: int = 2, mask: Tensor | None = None) -> Tensor:
    """Return how much more the brightness of a fused volume changes from slice to slice than that of its sources.

    From each slice to the next, the change is the mean difference of the pixels that count in both. What exceeds the
    larger change of the two sources is flicker. It comes from what looks at one slice at a time, such as stretching
    each to the full range, and shows as stripes in the other planes.

    Args:
        first: (B, 1, X, Y, Z) gray levels.
        second: same shape and range.
        fused: same shape and range.
        spatial_dim: the axis 0, 1 or 2 of (X, Y, Z) along which slices follow each other.
        mask: bool of the same shape, True where pixels count.

    Returns:
        (B,) in the unit of the volumes, the mean over the steps from slice to slice: 0, the best, where the fused
        volume changes no more than a source does. NaN where no pixel counts in two slices.

    Raises:
        OptionError: if the images are no volumes, spatial_dim is no axis of them, or the mask does not fit.
    """
    if fused.ndim != 5:
        msg = f"fused has shape {tuple(fused.shape)}; flicker is between the slices of volumes (B, 1, X, Y, Z)"
        raise OptionError(msg)
    if spatial_dim not in (0, 1, 2):
        msg = f"spatial_dim is {spatial_dim}; give the axis of the slices, 0, 1 or 2"
        raise OptionError(msg)
    check_mask(mask, fused)
    inside = torch.ones_like(fused, dtype=torch.bool) if mask is None else mask
    slices = inside.movedim(2 + spatial_dim, 1).flatten(2)  # (B, slices, pixels)
    both = slices[:, 1:] & slices[:, :-1]
    changes = [_changes(volume.movedim(2 + spatial_dim, 1).flatten(2), both) for volume in (first, second, fused)]
    return (changes[2] - torch.maximum(changes[0], changes[1])).clamp_min(0.0).nanmean(dim=1)


def _changes(slices: Tensor, both: Tensor) -> Tensor:
    """Return the size of the mean change from each slice to the next, (B, slices - 1); NaN where nothing counts."""
    steps = torch.diff(slices, dim=1).masked_fill(~both, 0.0)
    return (steps.sum(dim=2) / both.sum(dim=2)).abs()
