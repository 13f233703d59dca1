"""Steps 4 to 6 of 8: a two-dimensional network over a three-dimensional volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from medfuse.inferers.device import memory_hint
from medfuse.inferers.slices import join_slices, slices_with_picture, split_into_slices
from medfuse.inferers.tiled import bounded
from medfuse.progress import Progress, Silent, counted

_REFERENCE_PIXELS = 256 * 256


def fuse_slices(
    slices: Tensor,
    network: Callable[..., Tensor],
    device: torch.device,
    slices_per_batch: int = 4,
    progress: Progress | None = None,
) -> Tensor:
    """Run a fusion network over slices, batch by batch.

    Slices in which both sources are black stay black: there is nothing to fuse, and a network may draw something. On a
    CPU, very large slices go through in strips; see ``bounded``.

    Args:
        slices: (N, 2, H, W) in [0, 1].
        network: maps (n, 2, H, W) on ``device`` to (n, 1, H, W).
        device: where it runs.
        slices_per_batch: the largest n; see ``batch_size``.
        progress: who is told how many slices are done.

    Returns:
        (N, 1, H, W) float32 on the CPU.

    Raises:
        DeviceError: if the device runs out of memory.
    """
    network = bounded(network)
    fused = torch.zeros(slices.shape[0], 1, *slices.shape[2:])
    together = batch_size(slices, slices_per_batch)
    batches = torch.split(slices_with_picture(slices).nonzero()[:, 0], together)
    with torch.inference_mode(), memory_hint(device, together):
        for indices in counted(batches, progress or Silent()):
            fused[indices] = network(slices[indices].to(device)).float().cpu()
    return fused


def fuse_volume(
    volume: Tensor, network: Callable[..., Tensor], device: torch.device, spatial_dim: int, slices_per_batch: int = 4
) -> Tensor:
    """Cut a volume (2, X, Y, Z) into slices, fuse them and join them to (1, X, Y, Z); arguments as ``fuse_slices``."""
    slices = split_into_slices(volume, spatial_dim)
    return join_slices(fuse_slices(slices, network, device, slices_per_batch), spatial_dim)


def batch_size(slices: Tensor, slices_per_batch: int) -> int:
    """Return how many slices go through the network at once: fewer where they are large, so that memory stays bounded.

    Args:
        slices: (N, C, H, W).
        slices_per_batch: how many slices of up to 256 x 256 pixels to take.

    Returns:
        At least 1, at most ``slices_per_batch``.
    """
    pixels = slices.shape[-2] * slices.shape[-1]
    return max(1, min(slices_per_batch, slices_per_batch * _REFERENCE_PIXELS // pixels))


class SlicewiseInferer(Inferer):  # type: ignore[misc]
    """Fuse volumes slice by slice, for MONAI engines and bundles.

    Gives what ``monai.inferers.SliceInferer`` gives with a window as large as the slice, without the cost of its
    window bookkeeping, and leaves black slices black.

    Args:
        spatial_dim: axis 0, 1 or 2 of the volume that slices are stacked along.
        slices_per_batch: how many slices go through the network at once.
    """

    def __init__(self, spatial_dim: int = 2, slices_per_batch: int = 4) -> None:
        self.spatial_dim = spatial_dim
        self.slices_per_batch = slices_per_batch

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Map volumes (B, 2, X, Y, Z) in [0, 1] to (B, 1, X, Y, Z), on the same device and with the same metadata.

        What follows the network is handed on to it.
        """
        called = bounded(network, *args, **kwargs)
        volumes = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        device, dim, together = inputs.device, self.spatial_dim, self.slices_per_batch
        fused = torch.stack([fuse_volume(volume, called, device, dim, together) for volume in volumes]).to(device)
        return MetaTensor(fused).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else fused
