"""What it takes to undo a fusion, and what the fused image alone determines.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_unfusing.py slices [--pairs 10] [--draws 24] [--weights FILE]

Prints two tables over validation pairs of each collection: the size of the remainder beside PNG files of the
sources with the error that is left, and how well sources drawn without it know their own error, as they are drawn and
widened by the factors that are stored with the network. Draws docs/images/unfusing.png of a phantom head.
"""

from __future__ import annotations

import argparse
import io
import lzma
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import cast

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from medfuse.io.remainder_file import byte_planes, write_remainder
from medfuse.networks import Unfusing, build
from medfuse.training.inverse_problem import calibration_error
from medfuse.training.paired_data import read_training_pairs
from medfuse.training.phantom_pairs import PhantomPairsOptions, write_phantom_pairs
from medfuse.unfuse import fuse_reversibly, possible_sources, unfuse

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "unfusing.png"
FOREGROUND = 0.05
KIB = 1024.0
MODALITIES = {"CT-MRI": "CT", "PET-MRI": "PT", "SPECT-MRI": "NM"}
DITHER = 1e-5  # smaller than any difference that matters
WHOLE_LEVELS = 1.9e-3  # a smaller error than half a gray level of 8 bits


def png_kib(picture: Tensor) -> float:
    """Return the size of a picture (H, W) as an 8-bit PNG, in KiB."""
    buffer = io.BytesIO()
    Image.fromarray((255.0 * picture).round().byte().numpy()).save(buffer, format="PNG", optimize=True)
    return len(buffer.getvalue()) / KIB


def packed_kib(image: Tensor, tolerance: float) -> float:
    """Return the size of sources (1, C, H, W) in whole steps with an error within the tolerance, packed likewise."""
    steps = np.diff((image / (2.0 * tolerance)).round().numpy().astype(np.int32), axis=-2, prepend=np.int32(0))
    return len(lzma.compress(byte_planes(steps).tobytes())) / KIB


def with_decimals(image: Tensor) -> Tensor:
    """Return sources that are not of whole gray levels, as interpolated ones are."""
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    return (image + (image > 0.0) * noise / 255.0).clamp(0.0, 1.0)


def kept(image: Tensor, network: Unfusing, folder: Path) -> list[float]:
    """Return sizes in KiB and errors: with decimals at 1e-4, and for 8 bits, each beside those of the sources."""
    row = []
    sources = [with_decimals(image), (255.0 * image).round() / 255.0]
    for source, tolerance, levels in zip(sources, (1e-4, WHOLE_LEVELS), (0, 255), strict=True):
        fused, remainder = fuse_reversibly(source, network, tolerance, levels)
        write_remainder(remainder, folder / "remainder.npz", overwrite=True)
        back = unfuse(fused, remainder, network)
        row += [(folder / "remainder.npz").stat().st_size / KIB, float((back - source).abs().max())]
    restored = float(((255.0 * back).round() == (255.0 * source).round()).float().mean())
    packed = [packed_kib(sources[0][:, 1:], 1e-4), packed_kib(sources[0], 1e-4)]
    pictures = [png_kib(channel) for channel in sources[1][0]]
    return [*row[:2], *packed, *row[2:3], restored, pictures[1], sum(pictures)]


def calibration(draws: Tensor, truth: Tensor) -> float:
    """Return the calibration error of draws (draws, pixels) of what is true, (pixels,).

    Where some draws and the truth are exactly 0 or 1, chance decides which counts as smaller. Czado et al., "Predictive
    Model Assessment for Count Data", Biometrics 2009.
    """
    generator = torch.Generator().manual_seed(0)
    values = torch.cat([draws, truth[None]])
    values = values + DITHER * torch.rand(values.shape, generator=generator)
    return calibration_error(values[:-1].T[:, :, None], values[-1][:, None])


def widened(draws: Tensor, factor: float) -> Tensor:
    """Return draws (draws, pixels) with their distance from their mean widened, within [0, 1]."""
    mean = draws.mean(dim=0)
    return (mean + factor * (draws - mean)).clamp(0.0, 1.0)


@torch.no_grad()
def left_open(image: Tensor, network: Unfusing, draws: int, modality: str) -> list[float]:
    """Return, for both sources where there is a head, errors and how well the spread foretells them."""
    fused = network(image)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([network.draw(fused, generator) for _ in range(draws)])  # (draws, 2, H, W)
    head = image[0].amax(dim=0) > FOREGROUND
    row = []
    for source in (0, 1):
        truth, own = image[0, source][head], drawn[:, source][:, head]  # (pixels,), (draws, pixels)
        error = (own.mean(dim=0) - truth).abs()
        rmse, plain = error.square().mean().sqrt(), (fused[0, 0][head] - truth).square().mean().sqrt()
        factor = float(network.widening(modality)[source])
        told = spearmanr(own.std(dim=0), error).statistic
        row += [float(plain), float(rmse), factor * float(own.std(dim=0).mean()), float(told)]
        row += [calibration(own, truth), calibration(widened(own, factor), truth)]
    return row


def table(title: str, heads: list[str], rows: dict[str, list[list[float]]]) -> None:
    """Print the means of each collection."""
    print(f"\n{title}\n| with | {' | '.join(heads)} |\n|{'--|' * (len(heads) + 1)}")
    for collection, values in rows.items():
        print(f"| {collection} | {' | '.join(f'{fmean(each):.3g}' for each in zip(*values, strict=True))} |")


def draw(network: Unfusing, folder: Path) -> None:
    """Draw a phantom's CT and MR slice: sources, fused image, what is drawn without the remainder, and its spread."""
    mpl.use("Agg")
    write_phantom_pairs(folder / "heads", PhantomPairsOptions(heads=2, slices=1, seed=40))
    pairs = read_training_pairs(folder / "heads", 64).validation
    figure, axes = plt.subplots(len(pairs), 7, figsize=(13.0, 2.0 * len(pairs)), layout="constrained", squeeze=False)
    titles = ["MR", "other", "fused", "MR, mean of draws", "other, mean of draws", "spread of MR", "spread of other"]
    for row, pair in zip(axes, pairs, strict=True):
        image = pair.image[None]
        with torch.no_grad():
            fused = network(image)
        found = possible_sources(fused, network, modality=MODALITIES.get(pair.collection, ""))
        shown = torch.cat([image, fused, found.mean, found.deviation], dim=1)[0]
        for number, (panel, picture, title) in enumerate(zip(row, shown, titles, strict=True)):
            top, colors = (0.6, "magma") if number >= 5 else (1.0, "gray")
            panel.imshow(picture, cmap=colors, vmin=0.0, vmax=top)
            panel.set_title(title.replace("other", pair.collection.split("-")[0]), fontsize=8)
            panel.axis("off")
    IMAGE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGE, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--draws", type=int, default=24)
    given = parser.parse_args()
    network = cast(Unfusing, build("unfusing", given.weights))
    sizes: dict[str, list[list[float]]] = defaultdict(list)
    opens: dict[str, list[list[float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        by_collection: dict[str, list[Tensor]] = defaultdict(list)
        for pair in read_training_pairs(given.data, 64).validation:
            by_collection[pair.collection].append(pair.image[None])
        for collection, images in by_collection.items():
            for image in images[:: max(1, len(images) // given.pairs)][: given.pairs]:
                sizes[collection].append(kept(image, network, Path(folder)))
                opens[collection].append(left_open(image, network, given.draws, MODALITIES[collection]))
        heads = ["remainder", "largest error", "other source packed alike", "both packed alike"]
        heads += ["8 bits: remainder", "gray levels restored", "PNG of the other", "PNG of both"]
        table("With the remainder (sizes in KiB)", heads, sizes)
        each = ["fused, RMSE", "mean of draws, RMSE", "spread", "rank correlation of spread and error"]
        each += ["calibration as drawn", "calibration, widened"]
        table("Without it", [f"{source}: {head}" for source in ("MR", "other") for head in each], opens)
        draw(network, Path(folder))


if __name__ == "__main__":
    main()
