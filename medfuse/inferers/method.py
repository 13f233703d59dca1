"""Step 5 of 8, network: which network or rule fuses, by the name that the user gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from medfuse.inferers.allocator import keep_freed_memory
from medfuse.inferers.device import memory_hint
from medfuse.networks import PHANTOM_WEIGHTS, SHIPPED_WEIGHTS, build, network_of
from medfuse.networks.rules import RULES
from medfuse.options import AUTO_METHOD


def resolve_method(name: str, weights: str | Path, device: torch.device) -> str:
    """Return the method of a name that may leave the choice open.

    Args:
        name: a network, a trivial rule, or ``"auto"``: the network that a given weights file is for; with the shipped
            weights ``"cddfuse"`` on a GPU, and ``"cddfuse-fast"`` on a CPU.
        weights: ``"default"``, ``"phantom"`` or a path.
        device: where it will run.

    Raises:
        WeightsError: if the weights file does not tell its network.
    """
    if name != AUTO_METHOD:
        return name
    if str(weights) not in SHIPPED_WEIGHTS:
        return network_of(Path(weights))
    return "cddfuse-fast" if device.type == "cpu" or str(weights) == PHANTOM_WEIGHTS else "cddfuse"


def fusion_method(name: str, weights: str | Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a callable that maps (N, 2, H, W) on a device to (N, 1, H, W).

    Args:
        name: a network or one of the trivial rules ``"max"``, ``"average"``, ``"laplacian"``.
        weights: of the network; a rule has none.
        device: where it will run.

    Raises:
        WeightsError: if the weights do not fit.
        DeviceError: if they take more memory than the device has.
    """
    if name in RULES:
        return RULES[name]
    keep_freed_memory()
    with memory_hint(device):
        network: nn.Module = build(name, weights).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
