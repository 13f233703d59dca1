"""Compare the processor time of the two networks on one pair of 256 x 256, in turn.

python tests/benchmarks/bench_networks.py
"""

from __future__ import annotations

import statistics
import time

import torch

from medfuse.inferers.device import resolve_device
from medfuse.inferers.method import fusion_method

SIZE = 256
REPEATS = 5
NETWORKS = ("cddfuse", "cddfuse-fast")


def main() -> None:
    image = torch.rand(1, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    device = resolve_device("cpu")
    fuse = {name: fusion_method(name, "default", device) for name in NETWORKS}
    seconds: dict[str, list[float]] = {name: [] for name in NETWORKS}
    with torch.inference_mode():
        for repeat in range(REPEATS + 1):
            for name in NETWORKS:
                started = time.process_time()
                fuse[name](image)
                if repeat > 0:  # the first is warmer for the second network than for the first
                    seconds[name].append(time.process_time() - started)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name, value in median.items():
        print(f"{name:13} {value:.3f} s of processor time, {torch.get_num_threads()} threads")
    print(f"ratio         {median['cddfuse'] / median['cddfuse-fast']:.1f}")


if __name__ == "__main__":
    main()
