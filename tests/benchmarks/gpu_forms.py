"""The forms in which ``bench_gpu.py`` runs CDDFuse, and what a card is measured by."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from plain_cddfuse import plain_form
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medfuse.networks.invertible import InvertibleNode
from medfuse.networks.two_pass import TwoPassBlock

Form = Callable[[Tensor], Tensor]
PLAIN = "plain, float32"
FORMS = (
    PLAIN,
    "medfuse, float32",
    "medfuse, TF32",
    "medfuse, bfloat16",
    "compiled, TF32",
    "compiled, bfloat16",
    "CUDA graphs, TF32",
    "CUDA graphs, bfloat16",
)
_MAPS_OF_A_BLOCK = 5  # the map twice and the values once are read, the values and the result written
_MAPS_OF_A_NODE = 2


def forms_of(network: nn.Module, device: torch.device, names: tuple[str, ...]) -> dict[str, Form]:
    """Return the forms to time, by name."""
    ours = network.to(device, memory_format=torch.channels_last)
    kinds: dict[str, Callable[[], Form]] = {
        "plain": lambda: plain_form(network).to(device),
        "medfuse": lambda: ours,
        "compiled": lambda: torch.compile(ours),
        "CUDA graphs": lambda: torch.compile(ours, mode="reduce-overhead"),
    }
    precisions: dict[str, Callable[[Form], Form]] = {
        "float32": lambda form: form,
        "TF32": _with_tf32,
        "bfloat16": lambda form: _in_bfloat16(form, device),
    }
    found = {}
    for name in names:
        kind, precision = name.split(", ")
        found[name] = precisions[precision](kinds[kind]())
    return found


def _with_tf32(form: Form) -> Form:
    def fuse(image: Tensor) -> Tensor:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        fused = form(image)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        return fused

    return fuse


def _in_bfloat16(form: Form, device: torch.device) -> Form:
    def fuse(image: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return form(image).float()

    return fuse


def seconds_of(work: Callable[[], Tensor], device: torch.device) -> tuple[float, Tensor]:
    """Return the time of one call, the device's work included, and the result."""
    finish = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    finish()
    started = time.perf_counter()
    made = work()
    finish()
    return time.perf_counter() - started, made


def least_of(work: Callable[[], Tensor], device: torch.device, repeats: int = 10) -> float:
    """Return the seconds of the fastest of some calls, after one that is not counted."""
    return min(seconds_of(work, device)[0] for _ in range(repeats + 1))


def measured_bandwidth(device: torch.device, mib: int) -> float:
    """Return the bytes a second at which the device copies so many MiB, read and written."""
    source = torch.zeros(mib << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / least_of(lambda: target.copy_(source), device)


def measured_matrix_rate(device: torch.device, side: int, precision: str) -> float:
    """Return the floating-point operations a second of a square matrix product."""
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    matrix = torch.rand(side, side, device=device).to(kind)
    product: Form = lambda a: a @ a  # noqa: E731
    if precision == "TF32":
        product = _with_tf32(product)
    return 2 * side**3 / least_of(lambda: product(matrix), device)


def operations(network: nn.Module, image: Tensor) -> int:
    """Return the floating-point operations of the products and convolutions of one call."""
    with FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()


def least_bytes(network: nn.Module, image: Tensor) -> int:
    """Return the bytes of the maps that blocks and nodes move in one call, in as few passes as there can be."""
    moved = 0

    def count(maps: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def add(_: nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
            nonlocal moved
            moved += maps * given[0].numel() * given[0].element_size()

        return add

    kinds = {TwoPassBlock: _MAPS_OF_A_BLOCK, InvertibleNode: _MAPS_OF_A_NODE}
    hooks = [
        module.register_forward_hook(count(maps))
        for module in network.modules()
        for kind, maps in kinds.items()
        if isinstance(module, kind)
    ]
    network(image)
    for hook in hooks:
        hook.remove()
    return moved
