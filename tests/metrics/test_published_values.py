"""Fidelity and edge transfer equal the values that the field computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medfuse.metrics import edge_transfer, visual_information_fidelity

RULES = {
    "max": np.maximum,
    "clip_sum": lambda a, b: np.minimum(a + b, 255.0),
    "quarter": lambda a, b: np.round(0.75 * a + 0.25 * b),
}


@pytest.fixture(scope="module")
def rows(shared: Path) -> list[dict[str, Any]]:
    return json.loads((shared / "reference" / "fusion_metrics.json").read_text())["rows"]


def gray(path: Path) -> np.ndarray:
    """Read whole gray levels, as the published protocol does."""
    with Image.open(path) as picture:
        rgb = np.asarray(picture.convert("RGB")).astype(np.float32)
    return np.round(rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32))


def batch(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)[:, None]).double()


def test_values_equal_the_published_ones(shared: Path, rows: list[dict[str, Any]]) -> None:
    by_shape: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in rows:
        a, b = (gray(shared / "data" / "slices" / row[key]) for key in ("a", "b"))
        by_shape.setdefault(a.shape, []).append({**row, "images": (a, b, RULES[row["rule"]](a, b))})
    for group in by_shape.values():
        a, b, fused = (batch([row["images"][index] for row in group]) for index in range(3))
        found = {
            "VIF_a": visual_information_fidelity(a, fused),
            "VIF_b": visual_information_fidelity(b, fused),
            "Qabf": edge_transfer(a, b, fused),
        }
        for name, values in found.items():
            assert values.tolist() == pytest.approx([row[name] for row in group], rel=1e-6)
