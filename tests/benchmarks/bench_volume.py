"""The whole main job at clinical size, from files to report: seconds and peak memory of each step.

    python tests/benchmarks/bench_volume.py [--methods cddfuse cddfuse-fast] [--without-kernels]

A phantom MR and CT are brought onto 256 x 256 x 150 voxels and written as NIfTI; each run is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from bench_large_registration import SHAPE, large_study
from monai.data import MetaTensor

from medfuse.io.volume_files import write_volume

FUSE = """
import sys
from contextlib import nullcontext
from medfuse.cli.main import main
from medfuse.networks.native import without_kernels
sys.argv[0] = "medfuse"
with {}():
    main()
"""


def written_pair(folder: Path) -> list[Path]:
    """Write the two volumes, and return their files."""
    study = large_study()
    sides = {"MR": (study.fixed, study.fixed_affine_ras), "CT": (study.moving, study.moving_affine_ras)}
    paths = []
    for modality, (values, affine) in sides.items():
        paths.append(folder / f"{modality}.nii.gz")
        write_volume(MetaTensor(values[None], affine=torch.from_numpy(np.ascontiguousarray(affine))), paths[-1])
    return paths


def profiled(paths: list[Path], method: str, output: Path, kernels: bool) -> dict[str, dict[str, float]]:
    """Run the main job, and return seconds and MiB by step."""
    program = FUSE.format("nullcontext" if kernels else "without_kernels")
    options = ["--modality", "MR", "CT", "--method", method, "-o", str(output), "--accept-registration"]
    subprocess.run([sys.executable, "-c", program, "fuse", *map(str, paths), *options], check=True, capture_output=True)
    record = json.loads((output / "run.json").read_text())
    return {"seconds": record["seconds"], "MiB": record["peak_memory_mib_by_step"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["cddfuse", "cddfuse-fast"])
    parser.add_argument("--without-kernels", action="store_true", help="also with PyTorch alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        paths = written_pair(Path(made))
        found = {}
        for method in chosen.methods:
            found[method] = profiled(paths, method, Path(made) / method, kernels=True)
            if chosen.without_kernels:
                name = f"{method}, PyTorch alone"
                found[name] = profiled(paths, method, Path(made) / f"{method}-alone", kernels=False)
    print(f"MR and CT of {' x '.join(map(str, SHAPE))} voxels, {torch.get_num_threads()} threads")
    print("| step |" + "|".join(f" {name}, s | MiB " for name in found) + "|")
    print("|---|" + "--:|--:|" * len(found))
    for step in next(iter(found.values()))["MiB"]:
        cells = (f" {run['seconds'][step]:.1f} | {run['MiB'][step]:.0f} " for run in found.values())
        print(f"| {step} |" + "|".join(cells) + "|")
    totals = (f" {sum(run['seconds'].values()):.1f} | {max(run['MiB'].values()):.0f} " for run in found.values())
    print("| all |" + "|".join(totals) + "|")


if __name__ == "__main__":
    main()
