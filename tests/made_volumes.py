"""Small volumes made of numbers, for tests in which anatomy does not matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from medfuse.geometry import Matrix

# Axes turned by some degrees, 1 x 1.2 x 2.5 mm, off center: slices of the third axis have the finest pixels.
OBLIQUE = np.array(
    [[-0.98, 0.15, 0.35, 8.0], [0.17, 1.17, 0.31, -9.0], [-0.1, -0.22, 2.45, -7.0], [0.0, 0.0, 0.0, 1.0]],
    dtype=np.float64,
)


def cloud(seed: int = 0, shape: tuple[int, int, int] = (14, 12, 10), top: float = 100.0) -> np.ndarray:
    """Return smooth values from 0 to ``top``."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return (top * (noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def made(values: np.ndarray, modality: str = "MR", affine: Matrix = OBLIQUE, **meta: Any) -> MetaTensor:
    """Return (X, Y, Z) values as a volume (1, X, Y, Z)."""
    known = {"modality": modality, "modality_source": "given", **meta}
    return MetaTensor(torch.from_numpy(values.astype(np.float32))[None], affine=torch.from_numpy(affine), meta=known)


def same_meta(first: MetaTensor, second: MetaTensor) -> bool:
    """Tell whether two volumes have the same affine, bit for bit."""
    return bool(torch.equal(first.affine, second.affine))
