"""CDDFuse on a GPU: the plain form in float32 against medfuse's forms, in turns, with their errors.

    python tests/benchmarks/bench_gpu.py [--device cuda] [--size 256] [--slices 8] [--repeats 10]

Errors are from float32 without TF32. Ends with the seconds for 150 slices of 256 x 256 by the fastest form.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from plain_cddfuse import plain_form
from torch import Tensor, nn

from medfuse.networks import build

Form = Callable[[Tensor], Tensor]
VOLUME_SLICES = 150


def forms_of(network: nn.Module, device: torch.device) -> dict[str, Form]:
    """Return the forms to time, by name."""
    plain = plain_form(network).to(device)
    ours = network.to(device, memory_format=torch.channels_last)
    compiled = torch.compile(ours)

    def with_tf32(form: Form) -> Form:
        def fuse(image: Tensor) -> Tensor:
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.allow_tf32 = True
            fused = form(image)
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = False
            return fused

        return fuse

    def in_bfloat16(form: Form) -> Form:
        def fuse(image: Tensor) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return form(image).float()

        return fuse

    return {
        "plain, float32": plain,
        "medfuse, float32": ours,
        "medfuse, TF32": with_tf32(ours),
        "medfuse, bfloat16": in_bfloat16(ours),
        "compiled, TF32": with_tf32(compiled),
        "compiled, bfloat16": in_bfloat16(compiled),
    }


def seconds(form: Form, image: Tensor) -> tuple[float, Tensor]:
    """Return the time of one call, the device's work included, and the result."""
    finish = torch.cuda.synchronize if image.is_cuda else (lambda: None)
    finish()
    started = time.perf_counter()
    fused = form(image)
    finish()
    return time.perf_counter() - started, fused


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=10)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    torch.backends.cudnn.allow_tf32 = False
    image = torch.rand(chosen.slices, 2, chosen.size, chosen.size, generator=torch.Generator().manual_seed(0)).to(
        device
    )
    forms = forms_of(build("cddfuse", "default"), device)
    first = {name: seconds(form, image)[0] for name, form in forms.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    fused: dict[str, Tensor] = {}
    for _ in range(chosen.repeats):
        for name, form in forms.items():
            spent, fused[name] = seconds(form, image)
            times[name].append(spent)
    exact = fused["plain, float32"]
    name_of_card = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{name_of_card}, {chosen.slices} slices of {chosen.size} x {chosen.size}")
    print("| form | ms a slice | times as fast as plain | largest error | PSNR, dB | first call, s |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, spent in times.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(times["plain, float32"], spent, strict=True))
        error = (fused[name] - exact).abs().max().item()
        psnr = -10.0 * torch.log10((fused[name] - exact).square().mean().clamp_min(1e-20)).item()
        each = 1000.0 * statistics.median(spent) / chosen.slices
        print(f"| {name} | {each:.2f} | {ratio:.1f} | {error:.1e} | {psnr:.0f} | {first[name]:.1f} |")
    fastest = min(statistics.median(spent) for spent in times.values()) / chosen.slices
    print(f"{VOLUME_SLICES} slices by the fastest form: {VOLUME_SLICES * fastest:.2f} s")


if __name__ == "__main__":
    main()
