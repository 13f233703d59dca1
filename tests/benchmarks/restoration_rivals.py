"""Filters that restorers are compared with: each is told the true noise, and tuned on training slices.

Counts are stabilized by Anscombe's transform and come back through the closed form of its unbiased inverse (Maekitalo
and Foi, "A closed-form approximation of the exact unbiased inverse of the Anscombe variance-stabilizing
transformation", IEEE Transactions on Image Processing 20, 2011). Rician means become signals through the inverse of the
mean of the distribution (Koay and Basser, "Analytically exact correction scheme for signal extraction from noisy
magnitude MR signals", Journal of Magnetic Resonance 179, 2006). What the point spread blurred may be sharpened by
Richardson-Lucy iterations with the true point spread, as many as served best on training slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from block_matching import block_matched, block_variances
from scipy.ndimage import gaussian_filter
from scipy.special import ive
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

from medfuse.training.degradations import POINT_SPREAD_FWHM, degrade_at
from medfuse.transforms.restoration_scale import CT_WINDOW_HU

Filter = Callable[[np.ndarray, float, np.ndarray], np.ndarray]  # picture, sigma, variances of a block -> picture
_STRENGTHS = (0.6, 0.8, 1.0, 1.3, 1.7, 2.2)
SHARPENINGS = {"PT": (0, 2, 5, 10), "NM": (0, 2, 5, 10), "CT": (0,), "MR": (0,)}
_SIDE = 256


def _non_local_means(size: int, reach: int, strength: float) -> Filter:
    def apply(image: np.ndarray, sigma: float, _variances: np.ndarray) -> np.ndarray:
        return denoise_nl_means(
            image, patch_size=size, patch_distance=reach, h=strength * sigma, sigma=sigma, fast_mode=True
        )

    return apply


def _total_variation(strength: float) -> Filter:
    return lambda image, sigma, _variances: denoise_tv_chambolle(image, weight=strength * sigma, max_num_iter=200)


def _wavelet(name: str, strength: float) -> Filter:
    def apply(image: np.ndarray, sigma: float, _variances: np.ndarray) -> np.ndarray:
        spun = [  # averaged over shifts, or the grid of the wavelets shows
            np.roll(
                denoise_wavelet(
                    np.roll(image, shift, axis=(0, 1)),
                    sigma=strength * sigma,
                    wavelet=name,
                    method="BayesShrink",
                    rescale_sigma=False,
                ),
                (-shift[0], -shift[1]),
                axis=(0, 1),
            )
            for shift in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        return np.mean(spun, axis=0)

    return apply


def _block_matching(strength: float) -> Filter:
    return lambda image, _sigma, variances: block_matched(image, strength**2 * variances)


RIVALS: dict[str, list[Filter]] = {
    "non-local means": [
        _non_local_means(size, reach, strength)
        for size, reach in ((3, 8), (5, 8))
        for strength in (0.4, 0.6, 0.8, 1.0, 1.3)
    ],
    "total variation": [_total_variation(strength) for strength in (0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2)],
    "wavelets": [_wavelet(name, strength) for name in ("db2", "sym4") for strength in _STRENGTHS],
    "block matching": [_block_matching(strength) for strength in (0.8, 1.0, 1.3)],
}


def filtered_by(apply: Filter, image: np.ndarray, modality: str, level: float) -> np.ndarray:
    """Restore a picture by a filter that knows the noise; see ``medfuse.training.degradations`` for the level."""
    if modality == "CT":
        sigma = level / (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])
        return apply(image, sigma, sigma**2 * _unit_ct_variances())
    if modality == "MR":
        sigma = level / 100.0
        return sigma * _signal_of_mean(apply(image, sigma, np.full((8, 8), sigma**2)) / sigma)
    return _by_counts(apply, image, level)


def _by_counts(apply: Filter, image: np.ndarray, counts: float) -> np.ndarray:
    """Filter stabilized counts; the largest is brought to 1, which the filters' own defaults expect."""
    stable = 2.0 * np.sqrt(np.maximum(image * counts, 0.0) + 0.375)
    top = float(stable.max())
    filtered = np.maximum(top * apply(stable / top, 1.0 / top, np.full((8, 8), top**-2)), 2.0 * math.sqrt(0.375))
    root = math.sqrt(1.5)
    inverse = filtered**2 / 4 + root / 4 / filtered - 11 / 8 / filtered**2 + 5 * root / 8 / filtered**3 - 1 / 8
    return np.maximum(inverse, 0.0) / counts


def sharpened(image: np.ndarray, iterations: int) -> np.ndarray:
    """Undo the point spread of PET and SPECT by iterations of Richardson and Lucy."""
    sigma = POINT_SPREAD_FWHM / (2.0 * math.sqrt(2.0 * math.log(2.0)))
    estimate = image
    for _ in range(iterations):
        ratio = image / np.maximum(gaussian_filter(estimate, sigma, mode="nearest"), 1e-6)
        estimate = estimate * gaussian_filter(ratio, sigma, mode="nearest")
    return estimate


def _signal_of_mean(mean: np.ndarray) -> np.ndarray:
    """Return the signal whose Rician magnitude has a mean, both in standard deviations of the noise."""
    signals, means = _rician_means()
    return np.interp(mean, means, signals) + np.maximum(mean - means[-1], 0.0)


@lru_cache
def _rician_means() -> tuple[np.ndarray, np.ndarray]:
    signals = np.linspace(0.0, 40.0, 4001)
    half = signals**2 / 4
    means = math.sqrt(math.pi / 2) * ((1 + 2 * half) * ive(0, half) + 2 * half * ive(1, half))
    return signals, means


@lru_cache
def _unit_ct_variances() -> np.ndarray:
    """Return the variances of the coefficients of a block of CT noise of standard deviation 1 in the window."""
    flat, width = np.zeros((_SIDE, _SIDE), np.float32), CT_WINDOW_HU[1] - CT_WINDOW_HU[0]
    random = np.random.default_rng(1)
    return block_variances(np.stack([degrade_at(flat, "CT", width, random) for _ in range(4)]))
