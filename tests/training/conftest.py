"""A small set of slice pairs on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.networks import CDDFuseConfig
from medfuse.training import TrainingOptions

SIDE = 64


def picture(chance: np.random.Generator, coarseness: int) -> np.ndarray:
    """Return a disk of random texture, (64, 64) uint8, black around."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    blocks = chance.uniform(0.2, 1.0, (SIDE // coarseness, SIDE // coarseness))
    texture = np.kron(blocks, np.ones((coarseness, coarseness)))
    return (255 * texture * (x * x + y * y < 0.8)).astype(np.uint8)


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Return a folder of 6 pairs in two collections, 4 for training and 2 for validation."""
    folder = tmp_path / "slices"
    chance = np.random.default_rng(0)
    parts: dict[str, list[dict[str, str]]] = {"train": [], "validation": []}
    for index in range(6):
        collection = ("CT-MRI", "PET-MRI")[index % 2]
        entry = {"set": collection, "case": f"case{index}"}
        for key, coarseness in (("a", 2), ("b", 8)):
            entry[key] = f"{collection}/{key}/{index}.png"
            (folder / entry[key]).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(chance, coarseness)).save(folder / entry[key])
        parts["train" if index < 4 else "validation"].append(entry)
    (folder / "splits.json").write_text(json.dumps(parts))
    return folder


@pytest.fixture
def tiny() -> TrainingOptions:
    """Return options of a run that takes a second or two."""
    return TrainingOptions(
        network=CDDFuseConfig(channels=16, heads=2, blocks=1, detail_nodes=1),
        stage_one_steps=3,
        stage_two_steps=3,
        batch_size=2,
        patch_size=48,
        learning_rate=1e-3,
        validate_every=2,
        validation_pairs=0,
        threads=1,
    )
