"""Time the slow steps on a phantom patient, on this computer: ``make bench``."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from medfuse import FusionOptions, PhantomOptions, fuse_volumes, make_phantom, networks

PAIR_SIZE = 256
REPEATS = 3


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest of some times, after one run that is not counted."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    network = networks.build("cddfuse")
    image = torch.rand(1, 2, PAIR_SIZE, PAIR_SIZE)
    with torch.inference_mode():
        print(f"one pair of {PAIR_SIZE} x {PAIR_SIZE} through CDDFuse: {seconds(lambda: network(image)):.2f} s")
    options = PhantomOptions(profile="small", volumes=("MR_T1", "CT"))
    print(f"small phantom, MR and CT: {seconds(lambda: make_phantom(options)):.2f} s")
    volumes = make_phantom(options).volumes
    result = fuse_volumes(volumes["MR_T1"], volumes["CT"], FusionOptions(method="average"))
    print("main job on it without a network:")
    for step, spent in result.record["seconds"].items():
        print(f"  {step:10} {spent:.3f} s")


if __name__ == "__main__":
    main()
