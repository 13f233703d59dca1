"""Compare forward and backward through CDDFuse in its plain form and in medfuse's: time, and what autograd keeps.

    python tests/benchmarks/bench_training_step.py [--patches 8] [--side 128] [--repeats 3] [--as-is]

The forms take turns; ratios are medians of the ratios of one turn. Before its turn each takes a step that is not timed,
once what the form before it kept has gone back to the system: 8 patches of two forms do not fit in 23 GB. Gradients are
compared.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import time
from dataclasses import replace

import torch
from plain_cddfuse import plain_form
from saved_bytes import saved_bytes
from torch import Tensor, nn

from medfuse.inferers.allocator import keep_freed_memory
from medfuse.networks import CDDFuse, CDDFuseConfig


def step(network: nn.Module, image: Tensor) -> float:
    """Return the seconds of one forward and backward."""
    network.zero_grad()
    started = time.perf_counter()
    network(image).square().mean().backward()
    return time.perf_counter() - started


def largest_difference(first: nn.Module, second: nn.Module) -> float:
    """Return the largest difference of gradients, as a share of the gradient's norm, over all weights."""
    theirs = dict(second.named_parameters())
    return max(
        float((weight.grad - theirs[name].grad).norm() / theirs[name].grad.norm().clamp_min(1e-12))
        for name, weight in first.named_parameters()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=8)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--as-is", action="store_true", help="do not tell the C library to keep freed memory")
    chosen = parser.parse_args()
    if not chosen.as_is:
        keep_freed_memory()
    torch.manual_seed(0)
    config = CDDFuseConfig()
    ours = CDDFuse(replace(config, memory="recomputed")).to(memory_format=torch.channels_last)
    recorded = CDDFuse(config).to(memory_format=torch.channels_last)
    recorded.load_state_dict(ours.state_dict())
    forms = {"plain": plain_form(ours).train(), "medfuse, recorded": recorded, "medfuse, recomputed": ours}
    image = torch.rand(chosen.patches, 2, chosen.side, chosen.side)
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(chosen.repeats):
        for name, network in forms.items():
            ctypes.CDLL(None).malloc_trim(0)
            step(network, image)
            seconds[name].append(step(network, image))
    print(f"gradients apart from the plain form's: {largest_difference(ours, forms['plain']):.1e} of their norm")
    one = image[:1]  # what is kept grows with the patches
    kept = {name: saved_bytes(network, one) for name, network in forms.items()}
    print(f"{chosen.patches} patches of {chosen.side} x {chosen.side}, {torch.get_num_threads()} threads")
    for name, times in seconds.items():
        ratio = statistics.median(theirs / own for theirs, own in zip(seconds["plain"], times, strict=True))
        rate = chosen.patches / statistics.median(times)
        memory = f"{kept[name] / 1e9:.2f} GB kept of each patch, {kept[name] / kept['plain']:.2f} of the plain form's"
        print(f"{name:20} {rate:6.2f} patches a second, {ratio:.2f} x plain, {memory}")


if __name__ == "__main__":
    main()
