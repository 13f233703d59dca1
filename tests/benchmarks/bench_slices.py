"""How time and memory of the network grow with the slices of a volume: exponents of both, fitted.

    python tests/benchmarks/bench_slices.py SLICES [--side 128] [--slices 8 16 32 64 128] [--repeats 3]

The slices are the first validation pair of SLICES (a folder with ``splits.json``), again and again; each number of them
is fused in a process of its own. Memory is what the process takes beyond what it held with a single slice.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from pathlib import Path

import torch

from medfuse.evaluation.pairs import read_image_pairs
from medfuse.evaluation.speed import fitted_exponent
from medfuse.inferers.allocator import keep_freed_memory
from medfuse.inferers.slicewise import fuse_slices
from medfuse.memory import highest_mib
from medfuse.networks import build

METHODS = ("cddfuse", "cddfuse-fast")


def measured(method: str, folder: Path, side: int, slices: int, repeats: int) -> tuple[float, float]:
    """Return the median of the seconds, and the MiB beyond those for one slice."""
    keep_freed_memory()
    pair = read_image_pairs(folder, number=1)[0].image[None]
    image = torch.nn.functional.interpolate(pair, (side, side), mode="bilinear")
    network, device = build(method, "default").eval(), torch.device("cpu")
    fuse_slices(image, network, device)
    before, seconds = highest_mib(), []
    many = image.expand(slices, -1, -1, -1)
    for _ in range(repeats):
        started = time.perf_counter()
        fuse_slices(many, network, device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), highest_mib() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--slices", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    print(
        "| method |" + "|".join(f" {number}, s | MiB " for number in chosen.slices) + "| exponent of time | of memory |"
    )
    print("|---|" + "--:|" * (2 * len(chosen.slices) + 2))
    for method in METHODS:
        found = []
        for number in chosen.slices:
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                found.append(alone.apply(measured, (method, chosen.folder, chosen.side, number, chosen.repeats)))
        exponents = [fitted_exponent(chosen.slices, values) for values in zip(*found, strict=True)]
        cells = "|".join(f" {seconds:.2f} | {mib:.0f} " for seconds, mib in found)
        print(f"| {method} |{cells}|" + "|".join(f" {exponent:.2f} " for exponent in exponents) + "|", flush=True)


if __name__ == "__main__":
    main()
