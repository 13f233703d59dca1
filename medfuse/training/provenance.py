"""Training: what a run was computed with."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

from medfuse.training.team import Team


def environment(team: Team) -> dict[str, object]:
    """Return versions, machine and device, without anything personal.

    Args:
        team: the processes of the run.
    """
    cuda = team.device.type == "cuda"
    return {
        "medfuse": metadata.version("medfuse"),
        "torch": torch.__version__,
        "monai": metadata.version("monai"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": team.size,
        "device": torch.cuda.get_device_name(team.device) if cuda else str(team.device),
    }
