"""Where the network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medfuse.errors import DeviceError

_SIGNS_OF_NO_MEMORY = ("out of memory", "not enough memory", "DefaultCPUAllocator", "ALLOC_FAILED")


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
    except (RuntimeError, AssertionError, ImportError):  # torch names each kind of absence otherwise
        present = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        msg = f"there is no device {name!r} here; choose auto or one of {', '.join(present)}"
        raise DeviceError(msg) from None
    if device.type == "meta":
        msg = "device 'meta' computes nothing; choose auto or cpu"
        raise DeviceError(msg)
    return device


@contextmanager
def memory_hint(device: torch.device, slices_per_batch: int = 1) -> Iterator[None]:
    """Turn an out-of-memory error into a line that says what to do.

    Args:
        device: where the block computes.
        slices_per_batch: how many slices go through the network at once.

    Raises:
        DeviceError: in place of torch's error.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            sign in str(error) for sign in _SIGNS_OF_NO_MEMORY
        ):
            raise
        hints = [f"fewer than {slices_per_batch} slices per batch"] if slices_per_batch > 1 else []
        hints += ["device cpu"] if device.type != "cpu" else []
        msg = f"device {str(device)!r} ran out of memory; try {', '.join([*hints, 'smaller volumes'])}"
        raise DeviceError(msg) from None
