"""How the cost of the restorer grows with the pixels, beside that of full attention between pixels.

    python tests/benchmarks/bench_restormer_cost.py [--repeats 5]

Prints seconds of one core (time of the processor, so that other work on the computer hardly counts) and the exponent
of pixels that fits them best: 1 is linear. Attention between pixels is taken at the sizes that it can do, with the
channels of the restorer's first level, and without anything around it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from medfuse.evaluation.speed import fitted_exponent
from medfuse.networks import build
from medfuse.networks.restormer import MDTA

_SIDES = (128, 256, 512, 1024)
_SIDES_BETWEEN_PIXELS = (32, 64, 96, 128)
_CHANNELS = 16
Computed = Callable[[Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = build("restormer", arguments.weights)
    channel_attention = MDTA(_CHANNELS, heads=1).eval()
    print("| side, pixels | restormer, s | attention between channels, s | attention between pixels, s |")
    print("|---|---|---|---|")
    rows = {side: _timed(network, channel_attention, side, arguments.repeats) for side in _all_sides()}
    for side, row in rows.items():
        print(f"| {side} | " + " | ".join("" if seconds is None else f"{seconds:.4f}" for seconds in row) + " |")
    exponents = [_exponent([(side, row[column]) for side, row in rows.items()]) for column in range(3)]
    print("| exponent of pixels | " + " | ".join(f"{exponent:.2f}" for exponent in exponents) + " |")


def _all_sides() -> list[int]:
    return sorted({*_SIDES, *_SIDES_BETWEEN_PIXELS})


def _timed(network: Computed, channels: Computed, side: int, repeats: int) -> list[float | None]:
    """Return the median seconds of each at a side, measured in turn; None where it is not asked for."""
    one, many = torch.rand(1, 1, side, side), torch.rand(1, _CHANNELS, side, side)
    asked: list[tuple[Computed, Tensor] | None] = [None, None, None]
    if side in _SIDES:
        asked[:2] = (network, one), (channels, many)
    if side in _SIDES_BETWEEN_PIXELS:
        asked[2] = _between_pixels, many
    spent: list[list[float]] = [[], [], []]
    with torch.inference_mode():
        for repeat in range(repeats + 1):
            for column, each in enumerate(asked):
                if each is not None:
                    started = time.process_time()
                    each[0](each[1])
                    spent[column] += [time.process_time() - started] if repeat else []  # the first one warms up
    return [median(seconds) if seconds else None for seconds in spent]


def _between_pixels(image: Tensor) -> Tensor:
    """Let every pixel attend to every other."""
    pixels = image.flatten(2).transpose(1, 2)[:, None]  # (B, 1, H*W, C)
    return functional.scaled_dot_product_attention(pixels, pixels, pixels)


def _exponent(seconds: list[tuple[int, float | None]]) -> float:
    known = [(side, each) for side, each in seconds if each is not None]
    return fitted_exponent([side**2 for side, _ in known], [each for _, each in known])


if __name__ == "__main__":
    main()
