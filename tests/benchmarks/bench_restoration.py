"""Restoring beside classical filters: PSNR and SSIM on held-out slices, at three levels for each modality.

    python tests/benchmarks/bench_restoration.py SLICES [--weights FILE] [--pictures 16] [--rivals FILE]

SLICES is a folder with splits.json. Each filter is told the true noise; its settings are those that serve best on
training slices, for each modality and level anew. The network is told nothing. With --rivals, the rows of the filters
are kept in a file and read from there the next time. PSNR is also given in the head, where the picture is not black.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from restoration_rivals import RIVALS, SHARPENINGS, filtered_by, sharpened

from medfuse.io.slice_sets import read_split
from medfuse.metrics.structure import structural_similarity
from medfuse.training.degradations import DEGRADATIONS, degrade_at
from medfuse.training.judges import peak_signal_to_noise
from medfuse.training.noisy_patches import Picture, pictures_of
from medfuse.training.slice_pairs import read_pairs
from medfuse.transforms.restored import Restorers

_HEAD = 0.05
_NETWORK, _NOTHING, _MATCHING = "`restormer`", "nothing", "block matching"
Restore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """Means over pictures of one modality at one level, restored by one method; seconds is a median."""

    modality: str
    level: str
    method: str
    psnr: float
    psnr_head: float
    ssim: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", type=Path)
    parser.add_argument("--weights", default="default", help="shipped ones by the modality, or a file for all")
    parser.add_argument("--pictures", type=int, default=16, help="validation pictures of each modality")
    parser.add_argument("--tuning", type=int, default=4, help="training pictures of each modality to tune filters on")
    parser.add_argument("--rivals", type=Path, help="file that keeps the rows of the filters")
    parser.add_argument("--only-rivals", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    held_out = _pictures(arguments.slices, "validation", arguments.pictures)
    kept = arguments.rivals
    if kept is not None and kept.is_file():
        rows = [Row(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    else:
        rows = rival_rows(_pictures(arguments.slices, "train", arguments.tuning), held_out)
        if kept is not None:
            kept.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    if not arguments.only_rivals:
        rows += network_rows(arguments.weights, held_out)
        print_table(rows)


def rival_rows(tuning: Sequence[Picture], held_out: Sequence[Picture]) -> list[Row]:
    """Tune each filter on training pictures, and judge it on others."""
    rows = []
    for modality, degradation in DEGRADATIONS.items():
        for level in degradation.judged:
            rows.append(_judged(_NOTHING, modality, level, held_out, lambda image: image))
            for rival in RIVALS:
                restore = _tuned(rival, modality, level, tuning)
                rows.append(_judged(rival, modality, level, held_out, restore))
                print(rows[-1], flush=True)
    return rows


def network_rows(weights: str, held_out: Sequence[Picture]) -> list[Row]:
    """Judge the network."""
    restorers = Restorers(torch.device("cpu"), weights)
    return [
        _judged(_NETWORK, modality, level, held_out, _restoring(restorers.network(modality)))
        for modality, degradation in DEGRADATIONS.items()
        for level in degradation.judged
    ]


def _restoring(network: torch.nn.Module) -> Restore:
    @torch.inference_mode()
    def restore(image: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(image)[None, None])[0, 0].numpy()

    return restore


def print_table(rows: Sequence[Row]) -> None:
    """Print a table for each modality, and what the network gains over the best filter."""
    for modality, degradation in DEGRADATIONS.items():
        print(f"\n### {modality}\n\n| level | method | PSNR, dB | in the head, dB | SSIM | seconds |")
        print("|---|---|---|---|---|---|")
        for level in degradation.judged:
            own = [row for row in rows if (row.modality, row.level) == (modality, _named(modality, level))]
            for row in own:
                figures = f"{row.psnr:.2f} | {row.psnr_head:.2f} | {row.ssim:.3f} | {row.seconds:.2f}"
                print(f"| {row.level} | {row.method} | {figures} |")
            network = next(row for row in own if row.method == _NETWORK)
            for words, others in (("scikit-image's", _others(own, without=_MATCHING)), ("all", _others(own))):
                gain = {name: getattr(network, name) - max(getattr(row, name) for row in others) for name in _SCORES}
                figures = f"{gain['psnr']:+.2f} | {gain['psnr_head']:+.2f} | {gain['ssim']:+.3f}"
                print(f"| {network.level} | gain over the best of {words} | {figures} | |")


_SCORES = ("psnr", "psnr_head", "ssim")


def _others(rows: Sequence[Row], without: str = "") -> list[Row]:
    return [row for row in rows if row.method not in (_NETWORK, without)]


def _named(modality: str, level: float) -> str:
    return f"{level:g} {DEGRADATIONS[modality].unit}"


def _pictures(folder: Path, part: str, number: int) -> list[Picture]:
    """Return evenly spread pictures of each modality."""
    pictures = pictures_of(read_pairs(read_split(folder, part), 1), tuple(DEGRADATIONS))
    chosen = []
    for modality in DEGRADATIONS:
        own = [picture for picture in pictures if picture.modality == modality]
        chosen += [own[int((index + 0.5) * len(own) / number)] for index in range(min(number, len(own)))]
    return chosen


def _degraded(picture: Picture, level: float, index: int) -> np.ndarray:
    return degrade_at(picture.image[0].numpy(), picture.modality, level, np.random.default_rng([7, index]))


def _tuned(rival: str, modality: str, level: float, tuning: Sequence[Picture]) -> Restore:
    """Return a filter with the settings that give the best mean PSNR on training pictures."""
    pairs = [
        (picture, _degraded(picture, level, 1000 + index))
        for index, picture in enumerate(tuning)
        if picture.modality == modality
    ]
    best = (-np.inf, RIVALS[rival][0], 0)
    for apply in RIVALS[rival]:
        filtered = [(picture, filtered_by(apply, image, modality, level)) for picture, image in pairs]
        for iterations in SHARPENINGS[modality]:
            score = fmean(_psnr(picture, sharpened(image, iterations)) for picture, image in filtered)
            if score > best[0]:
                best = (score, apply, iterations)
    _, apply, iterations = best
    return lambda image: sharpened(filtered_by(apply, image, modality, level), iterations)


def _judged(method: str, modality: str, level: float, held_out: Sequence[Picture], restore: Restore) -> Row:
    scores, seconds = [], []
    for index, picture in enumerate(held_out):
        if picture.modality != modality:
            continue
        degraded = _degraded(picture, level, index)
        started = time.perf_counter()
        restored = restore(degraded)
        seconds.append(time.perf_counter() - started)
        image = torch.from_numpy(np.clip(restored, 0.0, 1.0).astype(np.float32))[None]
        head = picture.image > _HEAD
        ssim = structural_similarity(picture.image[None], image[None], 1.0).item()
        in_head = peak_signal_to_noise(picture.image[head], image[head])
        scores.append((peak_signal_to_noise(picture.image, image), in_head, ssim))
    means = map(fmean, zip(*scores, strict=True))
    return Row(modality, _named(modality, level), method, *means, seconds=median(seconds))


def _psnr(picture: Picture, image: np.ndarray) -> float:
    return peak_signal_to_noise(picture.image[0], torch.from_numpy(np.asarray(image, dtype=np.float32)))


if __name__ == "__main__":
    main()
