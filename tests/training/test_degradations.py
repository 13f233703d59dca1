"""Degradations: each level means what it says at the scanner, and equal seeds spoil alike."""

from __future__ import annotations

import math

import numpy as np
import pytest

from medfuse.training.degradations import DEGRADATIONS, POINT_SPREAD_FWHM, coarser, degrade, degrade_at
from medfuse.transforms.restoration_scale import CT_WINDOW_HU

SIDE = 128


def flat(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, dtype=np.float32)


def spoiled(image: np.ndarray, modality: str, level: float, seed: int = 0) -> np.ndarray:
    return degrade_at(image, modality, level, np.random.default_rng(seed))


@pytest.mark.parametrize("level", DEGRADATIONS["CT"].judged)
def test_noise_of_ct_has_its_deviation_in_hu(level: float) -> None:
    noise = (spoiled(flat(0.5), "CT", level) - 0.5) * (CT_WINDOW_HU[1] - CT_WINDOW_HU[0])
    assert noise.std() == pytest.approx(level, rel=0.05)
    assert abs(noise.mean()) < 0.02 * level


def test_noise_of_ct_has_the_spectrum_of_a_ramp() -> None:
    noise = spoiled(flat(0.5), "CT", 20.0) - 0.5
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    low, mid, beyond = (
        power[(frequency > least) & (frequency <= most)].mean() for least, most in ((0, 0.04), (0.16, 0.24), (0.5, 1))
    )
    assert low < 0.25 * mid
    assert beyond < 1e-6 * mid


def test_noise_of_mr_is_rician() -> None:
    sigma = 0.06
    air = spoiled(flat(0.0), "MR", 100.0 * sigma)
    assert air.min() >= 0.0
    assert air.mean() == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.02)
    tissue = spoiled(flat(0.5), "MR", 100.0 * sigma)
    assert (tissue.astype(float) ** 2).mean() == pytest.approx(0.5**2 + 2 * sigma**2, rel=0.02)


@pytest.mark.parametrize("modality", ["PT", "NM"])
@pytest.mark.parametrize("counts", [10.0, 100.0])
def test_counts_have_their_mean_as_variance(modality: str, counts: float) -> None:
    seen = spoiled(flat(0.4), modality, counts) * counts
    assert np.abs(seen - seen.round()).max() < 1e-3
    assert seen.mean() == pytest.approx(0.4 * counts, rel=0.03)
    assert seen.var() == pytest.approx(0.4 * counts, rel=0.06)


def test_the_point_spread_is_as_wide_as_it_says() -> None:
    point = flat(0.0)
    point[64, 64] = 1.0
    blurred = spoiled(point, "PT", 1e9)
    y = np.arange(SIDE) - 64.0
    sigma = math.sqrt(float((blurred.sum(axis=1) * y**2).sum() / blurred.sum()))
    assert sigma * 2.0 * math.sqrt(2.0 * math.log(2.0)) == pytest.approx(POINT_SPREAD_FWHM, rel=0.02)


@pytest.mark.parametrize("modality", list(DEGRADATIONS))
def test_equal_seeds_spoil_alike_and_levels_are_drawn_from_the_whole_range(modality: str) -> None:
    image = flat(0.5)
    assert np.array_equal(
        degrade(image, modality, np.random.default_rng(3)), degrade(image, modality, np.random.default_rng(3))
    )
    errors = [float((degrade(image, modality, np.random.default_rng(seed)) - image).std()) for seed in range(30)]
    assert max(errors) > 4.0 * min(errors)
    assert image.max() == image.min() == 0.5


@pytest.mark.parametrize("modality", list(DEGRADATIONS))
def test_levels_that_are_judged_lie_within_those_learned(modality: str) -> None:
    degradation = DEGRADATIONS[modality]
    assert degradation.levels[0] < min(degradation.judged) < max(degradation.judged) < degradation.levels[1]


def test_half_of_the_clean_pet_pictures_become_coarser_and_no_others() -> None:
    noise = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    spread = {
        modality: [float(coarser(noise, modality, np.random.default_rng(seed)).std()) for seed in range(40)]
        for modality in DEGRADATIONS
    }
    for modality in ("MR", "CT"):
        assert set(spread[modality]) == {float(noise.std())}
    for modality in ("PT", "NM"):
        smoothed = [each for each in spread[modality] if each < 0.8 * noise.std()]
        assert 10 < len(smoothed) < 30
