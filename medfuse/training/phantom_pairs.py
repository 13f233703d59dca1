"""Training: pairs of slices of random phantom heads, for weights that owe nothing to any patient's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from medfuse.errors import OptionError
from medfuse.io.output_folder import whole_folder
from medfuse.io.png_slices import write_slice
from medfuse.phantom.noise import stream
from medfuse.phantom.stack import StackOptions, make_stack
from medfuse.progress import Progress, Silent, showing

COLLECTIONS = {"CT-MRI": "CT", "PET-MRI": "PT", "SPECT-MRI": "NM"}
SPLITS = "splits.json"
_LEAST_PICTURE = 0.05  # share of the pixels that must be brighter than a twentieth, in both slices
_BRIGHT = 0.05
_BONE_WINDOWS = 0.7  # share of the CT windows that show bone gray and brain dark; the others show brain, bone white

Picture = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PhantomPairsOptions:
    """What a set of phantom pairs depends on: equal options give equal bytes.

    Attributes:
        heads: how many; each is one case.
        slices: of each head, for each of CT, PET and SPECT beside MR.
        held_out: share of the heads that serve for validation, above 0 and below 1.
        side: rows and columns of the slices.
        step_mm: how finely the heads are painted, 0.8 to 4.
        seed: the first head's; the next ones count on.
    """

    heads: int = 80
    slices: int = 6
    held_out: float = 0.15
    side: int = 256
    step_mm: float = 1.2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("heads", 2), ("slices", 1), ("seed", 0)):
            if getattr(self, name) < least:
                msg = f"{name} is {getattr(self, name)}; give a whole number of at least {least}"
                raise OptionError(msg)
        if not 0.0 < self.held_out < 1.0:
            msg = f"held_out is {self.held_out:g}; give a share above 0 and below 1"
            raise OptionError(msg)


def write_phantom_pairs(
    folder: Path, options: PhantomPairsOptions, overwrite: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Write a folder of phantom slices that ``train`` reads, whole or not at all.

    Args:
        folder: where; it is created.
        options: what to write.
        overwrite: replace an earlier set.
        progress: told how many heads are done.

    Returns:
        Number of pairs by part, ``"train"`` and ``"validation"``.

    Raises:
        OutputError: if the folder exists and is not to be replaced, or cannot be written.
    """
    parts: dict[str, list[dict[str, str]]] = {"train": [], "validation": []}
    held_out = max(1, round(options.held_out * options.heads))
    with whole_folder(folder, overwrite, markers=(SPLITS,)) as inside, showing(progress or Silent(), "heads") as told:
        for head in range(options.heads):
            part = "train" if head < options.heads - held_out else "validation"
            parts[part] += _write_head(inside, options, head)
            told.advance(head + 1, options.heads)
        about = {"phantom": asdict(options)}
        (inside / SPLITS).write_text(json.dumps({**parts, **about}, indent=1) + "\n", encoding="utf-8")
    return {part: len(pairs) for part, pairs in parts.items()}


def _write_head(folder: Path, options: PhantomPairsOptions, head: int) -> list[dict[str, str]]:
    """Write the pairs of one head, and return their entries for the list."""
    seed = options.seed + head
    stack = make_stack(StackOptions(seed, options.side, 3 * options.slices, options.step_mm))
    random = stream(seed, "windows")
    seen = {modality: _through_random_window(volume, random) for modality, volume in stack.items()}
    entries = []
    for collection, index in _shares(options.slices):
        first, second = seen["MR"][:, :, index], seen[COLLECTIONS[collection]][:, :, index]
        if min(_filled(first), _filled(second)) < _LEAST_PICTURE:
            continue
        entry = {"set": collection, "case": f"head{head:04d}"}
        for key, name, picture in (("a", "MRI", first), ("b", collection.split("-")[0], second)):
            entry[key] = f"{collection}/{name}/{head:04d}{index:03d}.png"
            (folder / entry[key]).parent.mkdir(parents=True, exist_ok=True)
            write_slice(torch.from_numpy(picture), folder / entry[key])
        entries.append(entry)
    return entries


def _shares(slices: int) -> Iterator[tuple[str, int]]:
    """Deal the slices of a head out to the collections in turn."""
    for number, collection in enumerate(COLLECTIONS):
        for index in range(number, 3 * slices, 3):
            yield collection, index


def _filled(picture: Picture) -> float:
    return float((picture > _BRIGHT).mean())


def _through_random_window(volume: MetaTensor, random: np.random.Generator) -> Picture:
    """Map a stack to [0, 1] by limits and a gamma as they differ from one reader and screen to the next."""
    values = volume.as_tensor()[0].numpy()
    if volume.meta["modality"] == "CT":
        lower, width = (-150.0, (400.0, 1600.0)) if random.random() < _BONE_WINDOWS else (-15.0, (80.0, 200.0))
        lower += random.uniform(0.0, 0.1) * width[1]
        upper = lower + random.uniform(*width)
    else:
        lower, upper = np.percentile(values, [random.uniform(0.5, 30.0), random.uniform(99.0, 99.95)])
    shown = np.clip((values - lower) / max(upper - lower, 1e-6), 0.0, 1.0)
    return np.asarray(shown ** np.exp(random.normal(0.0, 0.2)), dtype=np.float32)
