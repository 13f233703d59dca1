"""Step 5 of 8, network: find the compiled kernels, and tell where they can be used."""

from __future__ import annotations

import ctypes
import functools
import platform
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from medfuse.compiled import Switch, load

_FOLDER = Path(__file__).parent
_VARIANTS = {"AVX512": ("avx512", "avx2"), "AVX2": ("avx2",)}  # what a processor can run, the best one first
_ARM = ("aarch64", "arm64")
_NO_MEMORY = 1


_kernels = Switch()


def without_kernels() -> AbstractContextManager[None]:
    """Let PyTorch compute everything for a while, in the whole process: to compare the two."""
    return _kernels.off()


def instruction_set() -> str | None:
    """Return the name of the kernels in use, ``"avx512"``, ``"avx2"`` or ``"neon"``; None if PyTorch does the work."""
    found = _find() if _kernels.on else None
    return None if found is None else found[0]


def usable_kernels(x: Tensor) -> ctypes.CDLL | None:
    """Return the kernels if they can compute on a map: for inference, in float32, on a CPU; else None.

    Args:
        x: (B, C, H, W).
    """
    if not _kernels.on or torch.is_grad_enabled() or type(x) is not Tensor:
        return None
    if x.dtype is not torch.float32 or x.device.type != "cpu" or x.numel() == 0 or torch.is_autocast_enabled("cpu"):
        return None
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # type: ignore[no-untyped-call]
        return None
    found = _find()
    return None if found is None else found[1]


def lanes(kernels: ctypes.CDLL) -> int:
    """Return how many channels the kernels treat at once; a map needs a multiple of it."""
    return int(kernels.medfuse_lanes())


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    """Return where the numbers of a tensor begin, for a kernel."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def check(status: int) -> None:
    """Raise what PyTorch would if a kernel ran out of memory.

    Raises:
        RuntimeError: in the words of PyTorch's own allocator.
    """
    if status == _NO_MEMORY:
        msg = "DefaultCPUAllocator: not enough memory for the working rows of a kernel"
        raise RuntimeError(msg)


@functools.cache
def _find() -> tuple[str, ctypes.CDLL] | None:
    """Load the best kernels that were built and that this processor can run."""
    arm = platform.machine().lower() in _ARM
    names = ("neon",) if arm else _VARIANTS.get(torch.backends.cpu.get_cpu_capability(), ())
    for name in names:
        found = load(_FOLDER, f"_{name}")
        if found is not None:
            return name, found
    return None
