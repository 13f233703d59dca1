"""Small pairs of slices on disk: a smooth source and a fine one, with dark air around."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48


def picture(seed: int, coarseness: int) -> np.ndarray:
    """Return a disk of random texture, (48, 48) uint8, black around."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    blocks = chance.uniform(0.2, 1.0, (SIDE // coarseness, SIDE // coarseness))
    texture = np.kron(blocks, np.ones((coarseness, coarseness)))
    return (255 * texture * (x * x + y * y < 0.8)).astype(np.uint8)


def tinted(gray: np.ndarray) -> np.ndarray:
    """Return a gray picture in false color, from red to yellow."""
    return np.stack([gray, gray // 2, gray // 8], axis=-1)


def save(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_folders(folder: Path, number: int = 3) -> tuple[Path, Path]:
    """Write gray and colored slices of equal names into two folders."""
    for index in range(number):
        save(picture(2 * index, 2), folder / "mr" / f"{index}.png")
        save(tinted(picture(2 * index + 1, 8)), folder / "pet" / f"{index}.png")
    return folder / "mr", folder / "pet"


def write_split(folder: Path) -> Path:
    """Write a split of two collections: one of three cases of two slices, the other of one case."""
    entries = []
    cases = [("CT-MRI", case) for case in ("1", "1", "2", "2", "3", "3")] + [("PET-MRI", "9")] * 2
    for index, (collection, case) in enumerate(cases):
        entry = {
            "set": collection,
            "case": case,
            "a": f"{collection}/a/{index}.png",
            "b": f"{collection}/b/{index}.png",
        }
        save(picture(2 * index, 2), folder / entry["a"])
        save(picture(2 * index + 1, 8), folder / entry["b"])
        entries.append(entry)
    (folder / "splits.json").write_text(json.dumps({"train": entries[:1], "validation": entries}))
    return folder
