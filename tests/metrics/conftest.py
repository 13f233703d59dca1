"""Images to measure: made ones, and the pairs with the values that the field computes on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

RULES = {
    "max": np.maximum,
    "clip_sum": lambda a, b: np.minimum(a + b, 255.0),
    "quarter": lambda a, b: np.round(0.75 * a + 0.25 * b),
}


@pytest.fixture
def images() -> list[Tensor]:
    """Return two sources and a fused image of whole gray levels, each (2, 1, 44, 48)."""
    noise = torch.rand(3, 2, 1, 44, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool2d(noise.flatten(0, 1), 3, 1, 1).view_as(noise)
    return list(torch.round(255.0 * smooth))


@pytest.fixture
def volumes() -> list[Tensor]:
    """Return a source and a fused volume, each (2, 1, 8, 9, 10)."""
    return list(255.0 * torch.rand(2, 2, 1, 8, 9, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


@pytest.fixture(scope="session")
def reference_values(shared: Path) -> dict[str, Tensor]:
    """Return what the field computes for each reference pair, (12,) each."""
    rows = json.loads((shared / "reference" / "fusion_metrics.json").read_text())["rows"]
    names = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in names}


@pytest.fixture(scope="session")
def reference_images(shared: Path) -> list[Tensor]:
    """Return first, second and fused images of the reference pairs, whole gray levels, (12, 1, 256, 256) each."""
    rows = json.loads((shared / "reference" / "fusion_metrics.json").read_text())["rows"]
    pairs = [[gray(shared / "data" / "slices" / row[key]) for key in ("a", "b")] for row in rows]
    triples = [(a, b, RULES[row["rule"]](a, b)) for row, (a, b) in zip(rows, pairs, strict=True)]
    return [torch.from_numpy(np.stack(kind)[:, None]).double() for kind in zip(*triples, strict=True)]


def gray(path: Path) -> np.ndarray:
    """Read whole gray levels, as the published protocol does."""
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB")).astype(np.float32)
    return np.round(rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
