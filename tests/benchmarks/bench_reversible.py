"""What a stack of couplings keeps for the way back, its peak memory and time, ordinary against reversible, by depth.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_reversible.py [--size 64] [--depths 1 3 6 12 24 48 64]

Prints the table and draws docs/images/reversible_memory.png. The two ways take turns; times are medians of the
processor time of forward and backward. Bytes are those of the tensors that autograd saves, each
storage once, without parameters. Peaks are the most memory that forward and backward add to what the process held
before, gradients of the parameters included; each is measured in a process of its own, since what was freed once is
used again. They are measured twice: with the C library as it is, which keeps freed blocks and fills them badly, and
told to give blocks of 64 KiB and more back at once (glibc only).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from saved_bytes import saved_bytes
from torch import Tensor

from medfuse.memory import begin_peak, peak_since_mib
from medfuse.networks.invertible import InvertibleNode
from medfuse.networks.reversible import InvertibleSequence

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "reversible_memory.png"
CHANNELS = 64
WAYS = {"ordinary": 0, "reversible": 10_000}
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}
SMALL = 8  # pixels on a side, for the first step, which loads what every step needs


def step(network: InvertibleSequence, x: Tensor) -> tuple[float, Tensor]:
    """Do a forward and a backward pass; return its processor seconds and all gradients."""
    network.zero_grad()
    start = x.clone().requires_grad_()
    began = time.process_time()
    network(start).square().mean().backward()
    seconds = time.process_time() - began
    found = [start.grad, *(parameter.grad for parameter in network.parameters())]
    return seconds, torch.cat([part.flatten() for part in found if part is not None])


def stack(depth: int) -> InvertibleSequence:
    """Return couplings that can be undone."""
    return InvertibleSequence(InvertibleNode(CHANNELS, 1.0, "orthogonal", "silu") for _ in range(depth))


def peak_here(depth: int, way: str, size: int) -> float:
    """Return the most memory that a step adds to this process, in MiB."""
    network = stack(depth)
    network.anchor_every = WAYS[way]
    step(network, torch.randn(1, CHANNELS, SMALL, SMALL))
    network.zero_grad()
    x = torch.randn(1, CHANNELS, size, size)
    begin_peak()
    before = peak_since_mib()
    step(network, x)
    return peak_since_mib() - before


def peak_mib(depth: int, way: str, size: int, settings: dict[str, str]) -> float:
    """Return the same, of a process of its own with settings of the C library."""
    asked = [sys.executable, __file__, "--size", str(size), "--depths", str(depth), "--peak-of", way]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, env={**os.environ, **settings})
    return float(done.stdout)


def main() -> None:
    """Measure every depth both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3, 6, 12, 24, 48, 64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak-of", choices=WAYS, help="print the peak of one way at the first depth, and no more")
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.peak_of:
        print(peak_here(given.depths[0], given.peak_of, given.size))
        return
    x = torch.randn(1, CHANNELS, given.size, given.size)
    kept, peaks, least = ({way: [] for way in WAYS} for _ in range(3))
    print(f"{CHANNELS} channels, {given.size} x {given.size} pixels, float32; kept and peaks in MiB")
    heads = [f"{way}: {what}" for what in ("kept", "peak", "peak, blocks given back") for way in WAYS]
    heads = ["depth", *heads, "time, reversible / ordinary", "gradients apart"]
    print(f"| {' | '.join(heads)} |\n|{'--:|' * len(heads)}")
    for depth in given.depths:
        network = stack(depth)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        gradients: dict[str, Tensor] = {}
        for _ in range(given.repeats):
            for way, anchor_every in WAYS.items():
                network.anchor_every = anchor_every
                taken, gradients[way] = step(network, x)
                seconds[way].append(taken)
        for way, anchor_every in WAYS.items():
            network.anchor_every = anchor_every
            kept[way].append(saved_bytes(network, x) / 2**20)
            peaks[way].append(peak_mib(depth, way, given.size, {}))
            least[way].append(peak_mib(depth, way, given.size, GIVING_BACK))
        slower = statistics.median(seconds["reversible"]) / statistics.median(seconds["ordinary"])
        apart = float((gradients["reversible"] - gradients["ordinary"]).norm() / gradients["ordinary"].norm())
        shown = " | ".join(f"{found[way][-1]:.1f}" for found in (kept, peaks, least) for way in WAYS)
        print(f"| {depth} | {shown} | {slower:.2f} | {apart:.1e} |", flush=True)
    panels = {"kept for the way back": kept, "peak memory of a step": peaks}
    draw(given.depths, {**panels, "peak, blocks given back at once": least})


def draw(depths: list[int], panels: dict[str, dict[str, list[float]]]) -> None:
    """Draw memory against depth, one panel for each way to count it."""
    mpl.use("Agg")
    figure, row = plt.subplots(1, len(panels), figsize=(10.5, 3.6), layout="constrained", sharey=True)
    for axes, (title, found) in zip(row, panels.items(), strict=True):
        for (way, values), color in zip(found.items(), ("#c1443c", "#2a9d8f"), strict=True):
            axes.plot(depths, values, marker="o", color=color, label=way)
        axes.set(xscale="log", yscale="log", xlabel="couplings", title=title)
        axes.set_xticks(depths, [str(depth) for depth in depths])
        axes.minorticks_off()
    row[0].set_ylabel("MiB")
    row[0].legend(frameon=False)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
