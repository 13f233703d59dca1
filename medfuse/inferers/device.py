"""Where the network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medfuse.errors import DeviceError

_CPU_ALLOCATOR = "DefaultCPUAllocator"


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name.

    Args:
        name: ``"auto"`` for a GPU where there is one, else the CPU; or a name that torch knows.

    Raises:
        DeviceError: if there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        present = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        msg = f"there is no device {name!r} here; choose auto or one of {', '.join(present)}"
        raise DeviceError(msg) from None
    if device.type == "meta":
        msg = "device 'meta' computes nothing; choose auto or cpu"
        raise DeviceError(msg)
    return device


@contextmanager
def memory_hint(device: torch.device, slices_per_batch: int) -> Iterator[None]:
    """Turn an out-of-memory error into a line that says what to do.

    Raises:
        DeviceError: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not isinstance(error, torch.OutOfMemoryError) and _CPU_ALLOCATOR not in str(error):
            raise
        smaller = f"fewer than {slices_per_batch} slices per batch" if slices_per_batch > 1 else "device cpu"
        msg = f"device {str(device)!r} ran out of memory; try {smaller}, or crop the volumes"
        raise DeviceError(msg) from None
