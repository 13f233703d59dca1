"""Phantom heads for the cases that a verdict is tried on, made once and kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from medfuse.geometry import Matrix, Points
from medfuse.phantom import PhantomOptions, make_phantom

CACHE_VARIABLE = "MEDFUSE_VERDICT_CACHE"
SCALE = 0.8  # of the small phantom's voxels, which then are about 3 mm wide


@dataclass(frozen=True)
class Scan:
    """A volume (X, Y, Z) and its (4, 4) index-to-RAS affine in mm."""

    volume: torch.Tensor
    affine_ras: Matrix


@dataclass(frozen=True)
class Patient:
    """Two scans of one head: the truth between them and points over the head in the fixed world."""

    fixed: Scan
    moving: Scan
    truth: Matrix
    points: Points


def cache_folder() -> Path:
    """Return where what was made is kept: a folder of the user's, unless the environment names another."""
    return Path(os.environ.get(CACHE_VARIABLE, Path.home() / ".cache" / "medfuse_verdict"))


@lru_cache(maxsize=4)
def phantom(seed: int, noise: float) -> dict[str, np.ndarray]:
    """Return the arrays of a phantom head: volumes, affines, poses and points, by name."""
    path = cache_folder() / f"phantom_{seed}_{noise:g}.npz"
    if not path.exists():
        made = make_phantom(PhantomOptions(seed=seed, profile="small", scale=SCALE, noise=noise, lesions=()))
        arrays: dict[str, np.ndarray] = {}
        for name, volume in made.volumes.items():
            arrays[name] = volume[0].numpy()
            arrays[f"{name} affine"] = np.asarray(volume.affine, dtype=np.float64)
            arrays[f"{name} pose"] = made.head_to_scanner_ras[name]
            arrays[f"{name} points"] = made.head_points_mm(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(aside, **arrays)
        aside.replace(path)
    with np.load(path) as stored:
        return dict(stored)


def patient(seed: int, fixed: str, moving: str, noise: float = 1.0) -> Patient:
    """Return two scans of a phantom head, the fixed one with ordinary noise."""
    one, other = phantom(seed, 1.0), phantom(seed, noise)
    return Patient(
        Scan(torch.from_numpy(one[fixed]), one[f"{fixed} affine"]),
        Scan(torch.from_numpy(other[moving]), other[f"{moving} affine"]),
        other[f"{moving} pose"] @ np.linalg.inv(one[f"{fixed} pose"]),
        one[f"{fixed} points"],
    )
