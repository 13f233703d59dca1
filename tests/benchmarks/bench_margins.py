"""What it saves to count the pixels that a map repeats, as in black margins, instead of computing each of them.

    python tests/benchmarks/bench_margins.py SLICES [--every 6] [--repeats 3] [--threads 1]

For some pairs of SLICES (a folder with ``splits.json``), CDDFuse computes each with and without, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor, nn

from medfuse.evaluation.pairs import read_image_pairs
from medfuse.networks import build
from medfuse.networks.native.alike import repeats_computed


def timed(network: nn.Module, image: Tensor) -> tuple[float, Tensor]:
    """Return seconds, and the fused image."""
    started = time.perf_counter()
    fused = network(image)
    return time.perf_counter() - started, fused


def compared(network: nn.Module, image: Tensor, repeats: int) -> tuple[float, float]:
    """Return how many times as fast counting is, and the largest difference."""
    ratios, apart = [], 0.0
    for _ in range(repeats):
        counting, counted = timed(network, image)
        with repeats_computed():
            computing, computed = timed(network, image)
        ratios.append(computing / counting)
        apart = max(apart, float((counted - computed).abs().max()))
    return statistics.median(ratios), apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slices", type=Path)
    parser.add_argument("--every", type=int, default=6, help="take each so manyth pair")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    network = build("cddfuse", "default").eval()
    pairs = defaultdict(list)
    for pair in read_image_pairs(chosen.slices):
        pairs[pair.collection].append(pair.image[None])
    print("| pairs | of them | times as fast, median | least | most | largest difference |")
    print("|---|--:|--:|--:|--:|--:|")
    with torch.inference_mode():
        for collection, images in pairs.items():
            found = [compared(network, image, chosen.repeats) for image in images[:: chosen.every]]
            ratios, apart = zip(*found, strict=True)
            figures = f"{statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} | {max(apart):.1e}"
            print(f"| {collection} | {len(found)} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
