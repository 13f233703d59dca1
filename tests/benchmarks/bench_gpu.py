"""CDDFuse on a GPU: the plain form against medfuse's, in turns, with errors, the share of the card, and training.

    python tests/benchmarks/bench_gpu.py [--data SLICES] [--device cuda] [--size 256] [--slices 10] [--repeats 10]
        [--form NAME ...] [--patches 8] [--side 128] [--volume 150] [--copied-mib 4096] [--matrix 8192]

Errors are from the plain form without TF32, on the validation slices of SLICES (a folder with ``splits.json``), or on
noise. Inductor keeps what it compiled on disk: run twice, and the second first call is one that finds it.
"""

from __future__ import annotations

import argparse
import statistics
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import torch
from gpu_forms import (
    FORMS,
    PLAIN,
    Form,
    forms_of,
    least_bytes,
    measured_bandwidth,
    measured_matrix_rate,
    operations,
    seconds_of,
)
from plain_cddfuse import plain_form
from torch import Tensor, nn

from medfuse.evaluation.pairs import read_image_pairs
from medfuse.networks import CDDFuse, CDDFuseConfig, build

LEAST_SQUARE = 1e-20  # what two equal pictures are taken to differ by, so that their PSNR is a number


def image_of(chosen: Namespace, device: torch.device) -> Tensor:
    """Return (slices, 2, size, size) in [0, 1]."""
    shape = (chosen.slices, 2, chosen.size, chosen.size)
    if chosen.data is None:
        return torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(device)
    pairs = read_image_pairs(chosen.data, number=chosen.slices)[: chosen.slices]
    sides = [nn.functional.interpolate(pair.image[None], shape[2:], mode="bilinear") for pair in pairs]
    return torch.cat(sides).to(device)


@torch.inference_mode()
def compare(chosen: Namespace, device: torch.device) -> None:
    """Print the table of the forms, and what share of the card the fastest reaches."""
    image, network = image_of(chosen, device), build("cddfuse", "default")
    forms = forms_of(network, device, (PLAIN, *(name for name in chosen.form if name != PLAIN)))
    first = {name: seconds_of(lambda form=form: form(image), device)[0] for name, form in forms.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    fused: dict[str, Tensor] = {}
    for _ in range(chosen.repeats):
        for name, form in forms.items():
            spent, made = seconds_of(lambda form=form: form(image), device)
            times[name].append(spent)
            fused[name] = made.clone()
    print(f"{image.shape[0]} slices of {chosen.size} x {chosen.size}")
    print("| form | ms a slice | times as fast as plain | largest error | PSNR, dB | first call, s |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, spent in times.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(times[PLAIN], spent, strict=True))
        apart = fused[name] - fused[PLAIN]
        psnr = -10.0 * apart.square().mean().clamp_min(LEAST_SQUARE).log10().item()
        each = 1000.0 * statistics.median(spent) / image.shape[0]
        largest = apart.abs().max().item()
        print(f"| {name} | {each:.2f} | {ratio:.1f} | {largest:.1e} | {psnr:.0f} | {first[name]:.1f} |")
    fastest = min(times, key=lambda name: statistics.median(times[name]))
    print_share(chosen, device, network, image, fastest, statistics.median(times[fastest]))
    print_volume(forms[fastest], fastest, image, chosen.volume, device)


def print_share(
    chosen: Namespace, device: torch.device, network: nn.Module, image: Tensor, name: str, spent: float
) -> None:
    """Print what share of the measured bandwidth and matrix rate a form reaches."""
    precision = name.split(", ")[1]
    limits = measured_matrix_rate(device, chosen.matrix, precision), measured_bandwidth(device, chosen.copied_mib)
    # Under autocast what blocks add to is in float32 and the rest in half of it: half of all is a bound from below.
    moved, done = least_bytes(network, image) / (2 if precision == "bfloat16" else 1), operations(network, image)
    reached = done / spent, moved / spent
    for what, unit, own, limit in zip(("products", "maps, at least"), ("FLOP/s", "B/s"), reached, limits, strict=True):
        print(f"{name}, {what}: {own / 1e9:.1f} of {limit / 1e9:.1f} G{unit} measured, {own / limit:.0%}")


def print_volume(form: Form, name: str, image: Tensor, wanted: int, device: torch.device) -> None:
    """Print the seconds of a whole volume by a form, from the computer's memory and back."""
    slices = image.cpu()

    def fuse_volume() -> Tensor:
        batches = -(-wanted // slices.shape[0])
        return torch.cat([form(slices.to(device)).cpu() for _ in range(batches)])

    spent, fused = seconds_of(fuse_volume, device)
    print(f"{fused.shape[0]} slices by {name}, from memory and back: {spent:.2f} s")


def compare_training(chosen: Namespace, device: torch.device) -> None:
    """Print the patches a second of forward and backward, and the memory that they take on the card."""
    config = CDDFuseConfig()
    ours = CDDFuse(config).to(device, memory_format=torch.channels_last)
    recomputed = CDDFuse(replace(config, memory="recomputed")).to(device, memory_format=torch.channels_last)
    networks = {
        PLAIN: plain_form(ours).to(device).train(),
        "medfuse, bfloat16": ours,
        "recomputed, bfloat16": recomputed,
    }
    patches = torch.rand(chosen.patches, 2, chosen.side, chosen.side, device=device)

    def step(name: str) -> Tensor:
        networks[name].zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=name != PLAIN):
            fused = networks[name](patches)
        loss: Tensor = fused.float().square().mean()
        loss.backward()
        return loss

    times: dict[str, list[float]] = {name: [] for name in networks}
    peaks = dict.fromkeys(networks, 0)
    for _ in range(chosen.repeats + 1):
        for name in networks:
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            times[name].append(seconds_of(lambda name=name: step(name), device)[0])
            peaks[name] = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    print(f"forward and backward of {chosen.patches} patches of {chosen.side} x {chosen.side}")
    print("| form | patches a second | times as fast as plain | GB on the card |")
    print("|---|--:|--:|--:|")
    for name, spent in times.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(times[PLAIN][1:], spent[1:], strict=True))
        rate = chosen.patches / statistics.median(spent[1:])
        print(f"| {name} | {rate:.1f} | {ratio:.1f} | {peaks[name] / 1e9:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--slices", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--form", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--patches", type=int, default=8, help="of the training step; 0 to leave it out")
    parser.add_argument("--side", type=int, default=128, help="of the patches")
    parser.add_argument("--volume", type=int, default=150, help="slices of the whole volume")
    parser.add_argument("--copied-mib", type=int, default=4096)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices that the rate is measured with")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    torch.backends.cudnn.allow_tf32 = False
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU")
    compare(chosen, device)
    if chosen.patches:
        compare_training(chosen, device)


if __name__ == "__main__":
    main()
