"""Evaluation: what is compared, networks beside rules so trivial that a network must beat them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.inferers.method import fusion_method, resolve_method
from medfuse.networks import DEFAULT_WEIGHTS
from medfuse.networks.rules import RULES
from medfuse.options import AUTO_METHOD, METHODS, check_choice

Fuse: TypeAlias = Callable[[Tensor], Tensor]


def copy_first(image: Tensor) -> Tensor:
    """Return the first source untouched; (N, 2, H, W) to (N, 1, H, W), as all of these."""
    return image[:, :1]


def copy_second(image: Tensor) -> Tensor:
    """Return the second source untouched."""
    return image[:, 1:]


def clipped_sum(image: Tensor) -> Tensor:
    """Add both sources up, and cut off what is brighter than white."""
    return image.sum(dim=1, keepdim=True).clamp_max(1.0)


TRIVIAL: dict[str, Fuse] = {"copy_first": copy_first, "copy_second": copy_second, "clipped_sum": clipped_sum}


def contestants(methods: Sequence[str], weights: Sequence[str], device: torch.device) -> dict[str, Fuse]:
    """Return what fuses, by the name of its row.

    Args:
        methods: names of ``medfuse.options.METHODS``, with the weights that are shipped; the rules need no naming.
        weights: further weights files as ``"PATH"``, or ``"METHOD=PATH"`` where a file does not tell its network; the
            row has the file's name.
        device: where networks run.

    Raises:
        OptionError: if two rows would have one name, or there is no such method.
        WeightsError: if weights do not fit.
    """
    rows: dict[str, Fuse] = {}
    for entry in weights:
        method, _, path = entry.rpartition("=")
        name = Path(path).stem
        if name in rows or name in METHODS or name in TRIVIAL:
            msg = f"two rows would be named {name!r}; give each weights file a name of its own"
            raise OptionError(msg)
        rows[name] = _network(method or AUTO_METHOD, path, device)
    shipped = {name: fusion_method(name, DEFAULT_WEIGHTS, device) for name in dict.fromkeys([*methods, *RULES])}
    return {**rows, **shipped, **TRIVIAL}


def _network(method: str, path: str, device: torch.device) -> Fuse:
    check_choice("method", method, (AUTO_METHOD, *METHODS))
    return fusion_method(resolve_method(method, path, device), path, device)
