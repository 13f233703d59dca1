"""What a stack of couplings keeps for the way back, and how long a step takes, ordinary against reversible, by depth.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_reversible.py [--size 64] [--depths 1 3 6 12 24 48 64]

Prints the table and draws docs/images/reversible_memory.png. The two ways take turns; times are medians of the
processor time of forward and backward. Bytes are those of the tensors that autograd saves, each
storage once, without parameters.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from saved_bytes import saved_bytes
from torch import Tensor

from medfuse.networks.invertible import InvertibleNode
from medfuse.networks.reversible import InvertibleSequence

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "reversible_memory.png"
CHANNELS = 64
WAYS = {"ordinary": 0, "reversible": 10_000}


def step(network: InvertibleSequence, x: Tensor) -> tuple[float, Tensor]:
    """Do a forward and a backward pass; return its processor seconds and all gradients."""
    network.zero_grad()
    start = x.clone().requires_grad_()
    began = time.process_time()
    network(start).square().mean().backward()
    seconds = time.process_time() - began
    found = [start.grad, *(parameter.grad for parameter in network.parameters())]
    return seconds, torch.cat([part.flatten() for part in found if part is not None])


def main() -> None:
    """Measure every depth both ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 3, 6, 12, 24, 48, 64])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.manual_seed(0)
    x = torch.randn(1, CHANNELS, given.size, given.size)
    mebibytes: dict[str, list[float]] = {way: [] for way in WAYS}
    print(f"{CHANNELS} channels, {given.size} x {given.size} pixels, float32")
    print("| depth | ordinary, MiB | reversible, MiB | ratio | time, reversible / ordinary | gradients apart |")
    print("|--:|--:|--:|--:|--:|--:|")
    for depth in given.depths:
        network = InvertibleSequence(InvertibleNode(CHANNELS, 1.0, "orthogonal", "silu") for _ in range(depth))
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        gradients: dict[str, Tensor] = {}
        for _ in range(given.repeats):
            for way, anchor_every in WAYS.items():
                network.anchor_every = anchor_every
                taken, gradients[way] = step(network, x)
                seconds[way].append(taken)
        for way, anchor_every in WAYS.items():
            network.anchor_every = anchor_every
            mebibytes[way].append(saved_bytes(network, x) / 2**20)
        ordinary, reversible = (mebibytes[way][-1] for way in WAYS)
        slower = statistics.median(seconds["reversible"]) / statistics.median(seconds["ordinary"])
        apart = float((gradients["reversible"] - gradients["ordinary"]).norm() / gradients["ordinary"].norm())
        kept = f"{ordinary:.1f} | {reversible:.1f} | {ordinary / reversible:.0f}"
        print(f"| {depth} | {kept} | {slower:.2f} | {apart:.1e} |")
    draw(given.depths, mebibytes)


def draw(depths: list[int], mebibytes: dict[str, list[float]]) -> None:
    """Draw what is kept against depth."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(6.0, 4.0), layout="constrained")
    for (way, values), color in zip(mebibytes.items(), ("#c1443c", "#2a9d8f"), strict=True):
        axes.plot(depths, values, marker="o", color=color, label=way)
    axes.set(xscale="log", yscale="log", xlabel="couplings", ylabel="kept for the way back, MiB")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.legend(frameon=False)
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
