"""Time the measures against their plain NumPy and SciPy forms on one 256 x 256 pair, in turn, in one thread.

``OMP_NUM_THREADS=1 python tests/benchmarks/bench_metrics.py [NAME ...]``. The plain form works in float64, which is
what NumPy makes of a picture; ours in float64 and in float32, which is what torch makes of it. Times are medians of the
processor time of the calls, so that other work on the computer counts little.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import naive_metrics as naive
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse import metrics

SIZE = 256
REPEATS = 15
MOST_SECONDS = 12.0
WANTED = 5.0

Form = Callable[..., object]


def published(a: naive.Image, b: naive.Image, f: naive.Image) -> list[float]:
    """Return the values of the published suite, each from its own function; SSIM twice, for its two ranges."""
    alone = (naive.entropy, naive.standard_deviation, naive.spatial_frequency, naive.average_gradient)
    pairwise = (
        naive.mutual_information,
        naive.correlation,
        naive.peak_signal_to_noise_ratio,
        naive.structural_similarity,
        naive.structural_similarity,
        naive.visual_information_fidelity,
    )
    values = [measure(f) for measure in alone]
    values += [measure(a, f) + measure(b, f) for measure in pairwise]
    return [*values, naive.sum_of_correlations_of_differences(a, b, f), naive.edge_transfer(a, b, f)]


def ranged(measure: Callable[[Tensor, Tensor, float], Tensor]) -> Form:
    return lambda source, fused: measure(source, fused, 255.0)


FUSED, SOURCE, BOTH = slice(2, 3), slice(0, 3, 2), slice(0, 3)  # of first, second and fused image
FORMS: dict[str, tuple[slice, Form, Form]] = {
    "EN": (FUSED, naive.entropy, metrics.entropy),
    "SD": (FUSED, naive.standard_deviation, metrics.standard_deviation),
    "SF": (FUSED, naive.spatial_frequency, metrics.spatial_frequency),
    "AG": (FUSED, naive.average_gradient, metrics.average_gradient),
    "MI": (SOURCE, naive.mutual_information, metrics.mutual_information),
    "CC": (SOURCE, naive.correlation, metrics.correlation),
    "SCD": (BOTH, naive.sum_of_correlations_of_differences, metrics.sum_of_correlations_of_differences),
    "PSNR": (SOURCE, naive.peak_signal_to_noise_ratio, ranged(metrics.peak_signal_to_noise_ratio)),
    "SSIM": (SOURCE, naive.structural_similarity, ranged(metrics.structural_similarity)),
    "MS-SSIM": (SOURCE, naive.multiscale_structural_similarity, ranged(metrics.multiscale_structural_similarity)),
    "VIF": (SOURCE, naive.visual_information_fidelity, metrics.visual_information_fidelity),
    "Qabf": (BOTH, naive.edge_transfer, metrics.edge_transfer),
    "FMI": (SOURCE, naive.feature_mutual_information, metrics.feature_mutual_information),
    "Q_CV": (BOTH, naive.regional_difference, metrics.regional_difference),
    "Q_CB": (BOTH, naive.contrast_preservation, metrics.contrast_preservation),
    "invented": (BOTH, naive.invented_structure, metrics.invented_structure),
    "lost": (SOURCE, naive.lost_structure, metrics.lost_structure),
    "published suite": (BOTH, published, metrics.published_suite),
}


def pictures() -> list[Tensor]:
    """Return two sources and a fused image of whole gray levels: blurred noise in a disk on black ground."""
    noise = torch.rand(2, 1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = torch.stack([F.avg_pool2d(image, 5, 1, 2) for image in noise])
    axis = torch.linspace(-1.0, 1.0, SIZE)
    disk = axis[:, None].square() + axis.square() < 0.6
    first, second = ((image - image.min()) / (image.max() - image.min()) * 255.0 * disk for image in smooth)
    return [image.round() for image in (first, second, torch.maximum(first, 0.8 * second))]


def milliseconds(*works: Callable[[], object]) -> list[float]:
    """Return the median time of each, called in turn, after one call that is not counted."""
    times: list[list[float]] = [[] for _ in works]
    begun = time.perf_counter()
    for repeat in range(REPEATS + 1):
        for work, kept in zip(works, times, strict=True):
            started = time.process_time()
            work()
            kept.append(1000.0 * (time.process_time() - started))
        if repeat > 1 and time.perf_counter() - begun > MOST_SECONDS:
            break
    return [statistics.median(kept[1:]) for kept in times]


def main(names: list[str]) -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, one {SIZE} x {SIZE} pair")
    print(f"{'milliseconds':16} {'plain':>9} {'float64':>9} {'float32':>9} {'ratios':>15}")
    for name in names or FORMS:
        which, plain, ours = FORMS[name]
        doubles = pictures()[which]
        singles, arrays = [image.float() for image in doubles], [image[0, 0].numpy() for image in doubles]
        times = milliseconds(lambda: plain(*arrays), lambda: ours(*doubles), lambda: ours(*singles))  # noqa: B023
        ratios = [times[0] / mine for mine in times[1:]]
        verdict = "" if max(ratios) >= WANTED else f"  below {WANTED:g}"
        print(f"{name:16}" + "".join(f" {t:9.2f}" for t in times) + f" {ratios[0]:7.1f}{ratios[1]:7.1f}x{verdict}")


if __name__ == "__main__":
    main(sys.argv[1:])
