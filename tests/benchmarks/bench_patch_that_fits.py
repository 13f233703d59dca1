"""The largest patch that a training step of CDDFuse can take in a given memory, ordinary against reversible.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_patch_that_fits.py [--mebibytes 512] [--depths 3 12 48]

For each depth of the detail branch: the largest square patch, in steps of 8 pixels, for which what autograd keeps for
the way back stays within the memory. Sizes are tried one after the other; nothing is extrapolated.
"""

from __future__ import annotations

import argparse

import torch
from saved_bytes import saved_bytes

from medfuse.networks import CDDFuse, CDDFuseConfig

STEP = 8
WAYS = {"ordinary": "recorded", "reversible": "reversible"}


def largest_patch(network: CDDFuse, most: float) -> tuple[int, float]:
    """Return the side of the largest patch that fits, and the MiB that it takes."""
    best = (0, 0.0)
    for side in range(STEP, 1024, STEP):
        taken = saved_bytes(network, torch.rand(1, 2, side, side)) / 2**20
        if taken > most:
            break
        best = (side, taken)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=float, default=512.0)
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 12, 48])
    given = parser.parse_args()
    print(f"batch of 1, float32, at most {given.mebibytes:g} MiB kept for the way back")
    print("| couplings | ordinary: side | MiB | reversible: side | MiB | pixels, reversible / ordinary |")
    print("|--:|--:|--:|--:|--:|--:|")
    for depth in given.depths:
        found = {}
        for way, memory in WAYS.items():
            numbers = CDDFuseConfig(detail_nodes=depth, scale_clamp=1.0, mixing="orthogonal", memory=memory)
            found[way] = largest_patch(CDDFuse(numbers), given.mebibytes)
        cells = " | ".join(f"{side} | {taken:.0f}" for side, taken in found.values())
        print(f"| {depth} | {cells} | {(found['reversible'][0] / found['ordinary'][0]) ** 2:.1f} |")


if __name__ == "__main__":
    main()
