"""Exact tiling: seconds and peak memory of CDDFuse on large images, whole and in strips.

    python tests/benchmarks/bench_tiling.py [--sides 1024 2048] [--strips-only 4096] [--repeats 3]

Each run is a process of its own, the two forms take turns, and medians are printed. The image is an enlarged phantom.
Maps that exceed the memory for maps go to a file in the folder for temporary files: its disk is part of what is timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from medfuse.inferers.allocator import keep_freed_memory
from medfuse.io.scratch_maps import ScratchMaps
from medfuse.memory import highest_mib
from medfuse.networks import build
from medfuse.networks.tiled import run_tiled
from medfuse.phantom import PhantomOptions, make_phantom

FORMS = ("whole", "strips")


def image_of(side: int) -> Tensor:
    """Return a pair of phantom slices, (1, 2, side, side) in [0, 1]."""
    volumes = make_phantom(PhantomOptions(profile="small", volumes=("MR_T1", "CT"))).volumes
    middle = [volumes[name].as_tensor()[..., volumes[name].shape[-1] // 2] for name in ("MR_T1", "CT")]
    scaled = [(each - each.min()) / (each.max() - each.min()) for each in middle]
    sized = [functional.interpolate(each[None], size=(side, side), mode="bilinear") for each in scaled]
    return torch.cat(sized, dim=1).float()


def run(side: int, form: str, output: Path) -> None:
    """Fuse once, print seconds and MiB, and keep the fused image."""
    keep_freed_memory()
    image, network = image_of(side), build("cddfuse", "default")
    before, start = highest_mib(), time.perf_counter()
    with torch.inference_mode(), ScratchMaps() as maps:
        fused = network(image) if form == "whole" else run_tiled(network, image, maps)
    torch.save(fused, output)
    print(json.dumps({"seconds": time.perf_counter() - start, "MiB": highest_mib(), "before": before}))


def measure(side: int, form: str, output: Path) -> dict[str, float]:
    """Run in a process of its own."""
    command = [sys.executable, __file__, "--run", str(side), form, str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(side: int, forms: tuple[str, ...], repeats: int, folder: Path) -> str:
    """Return a row of the table."""
    outputs = {form: folder / f"{form}.pt" for form in forms}
    runs = [{form: measure(side, form, outputs[form]) for form in forms} for _ in range(repeats)]
    cells = []
    for form in FORMS:
        if form in forms:
            seconds = statistics.median(each[form]["seconds"] for each in runs)
            cells.append(f"{seconds:.1f} | {max(each[form]['MiB'] for each in runs):.0f}")
        else:
            cells.append(" | ")
    if len(forms) == 1:
        return f"| {side} | {' | '.join(cells)} | | |"
    ratio = statistics.median(each["strips"]["seconds"] / each["whole"]["seconds"] for each in runs)
    whole, strips = (torch.load(outputs[form], weights_only=True) for form in FORMS)
    return f"| {side} | {' | '.join(cells)} | {ratio:.2f} | {float((whole - strips).abs().max()):.1e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="*", default=[1024, 2048])
    parser.add_argument("--strips-only", type=int, nargs="*", default=[4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", nargs=3)
    chosen = parser.parse_args()
    if chosen.run:
        run(int(chosen.run[0]), chosen.run[1], Path(chosen.run[2]))
        return
    print("| side | whole, s | MiB | strips, s | MiB | strips / whole | largest difference |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for side in chosen.sides:
            print(row(side, FORMS, chosen.repeats, Path(folder)), flush=True)
        for side in chosen.strips_only:
            print(row(side, ("strips",), 1, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
