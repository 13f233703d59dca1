"""Training: what a run was computed with."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch


def environment(device: torch.device) -> dict[str, object]:
    """Return versions, machine and device, without anything personal.

    Args:
        device: the device of the run.
    """
    return {
        "medfuse": metadata.version("medfuse"),
        "torch": torch.__version__,
        "monai": metadata.version("monai"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
    }
