"""Preparing a scan gives what ITK's filters give one after the other, and takes less time."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from scipy.ndimage import gaussian_filter

from medfuse.registration.body import find_body, onto, to_mask, widen
from medfuse.registration.images import affine_of, to_array, to_image
from medfuse.registration.pyramid import coarsen

TURN = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
SPACINGS = [(4.0, 4.0, 4.0), (1.6, 2.1, 5.0), (2.5, 1.2, 3.0)]
SIGMA_PER_FWHM = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


def blobs(spacing: tuple[float, float, float], seed: int = 0) -> Any:
    """An image of smooth blobs, some with holes, some at the border, on oblique axes."""
    values = gaussian_filter(np.random.default_rng(seed).normal(size=(40, 44, 30)), 2.5)
    values = np.abs(values / values.std()) + 1.5 * np.exp(-(np.linspace(-2.0, 2.0, 40) ** 2))[:, None, None]
    affine = np.eye(4)
    affine[:3, :3] = TURN * spacing
    affine[:3, 3] = 20.0, -30.0, 7.0
    return to_image(torch.from_numpy(values), affine)


def coarsened_by_itk(image: Any, level_mm: float, like: Any) -> Any:
    for axis, step in enumerate(image.GetSpacing()):
        if step < level_mm:
            sigma = SIGMA_PER_FWHM * np.sqrt(level_mm**2 - step**2)
            image = sitk.RecursiveGaussian(image, sigma, direction=axis)
    return sitk.Resample(image, like, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear)


def body_by_itk(image: Any) -> Any:
    low, high = np.percentile(to_array(image), (1.0, 98.0))
    mask = sitk.OtsuThreshold(sitk.Clamp(image, sitk.sitkFloat32, float(low), float(high)), 0, 1, 128)
    opened = sitk.BinaryMorphologicalOpening(mask, [round(4.0 / step) for step in image.GetSpacing()], sitk.sitkBall)
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(opened), sortByObjectSize=True)
    return sitk.BinaryFillhole(pieces == 1)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("level_mm", [2.0, 4.0, 8.0])
def test_a_level_is_smoothed_and_resampled_as_by_itk(spacing: tuple[float, float, float], level_mm: float) -> None:
    image = blobs(spacing)
    coarse = coarsen(image, level_mm)
    expected = coarsened_by_itk(image, level_mm, coarse)
    np.testing.assert_allclose(to_array(coarse), to_array(expected), atol=1e-5 * np.ptp(to_array(image)))


def test_a_long_axis_is_smoothed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    image = blobs((1.6, 2.1, 5.0))
    whole = to_array(coarsen(image, 4.0))
    monkeypatch.setattr("medfuse.registration.pyramid._ROWS", 16)
    np.testing.assert_allclose(to_array(coarsen(image, 4.0)), whole, atol=1e-5 * np.ptp(whole))


def test_a_header_that_claims_a_long_axis_takes_little_memory() -> None:
    image = to_image(torch.rand(6000, 2, 2), np.diag([0.5, 0.5, 0.5, 1.0]))
    tracemalloc.start()
    coarse = coarsen(image, 4.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert coarse.GetSize() == (750, 1, 1)
    assert peak < 100e6


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_the_body_is_that_of_itk(spacing: tuple[float, float, float], seed: int) -> None:
    image = blobs(spacing, seed)
    body = find_body(image)
    expected = to_mask(body_by_itk(image))
    assert 0.01 < expected.mean() < 0.99
    np.testing.assert_array_equal(to_mask(body.mask), expected)
    np.testing.assert_allclose(affine_of(body.mask), affine_of(image))
    assert len(body.points_mm) == expected.sum()


@pytest.mark.parametrize("spacing", SPACINGS)
def test_margins_are_those_of_itk(spacing: tuple[float, float, float]) -> None:
    mask = find_body(blobs(spacing)).mask
    distance = sitk.SignedMaurerDistanceMap(mask, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    for wide, margin_mm in zip(widen(mask, 5.5, 11.3, 40.1), (5.5, 11.3, 40.1), strict=True):
        np.testing.assert_array_equal(to_mask(wide), to_mask(distance <= margin_mm))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("level_mm", [3.0, 7.0])
def test_a_mask_goes_onto_another_level_as_by_itk(spacing: tuple[float, float, float], level_mm: float) -> None:
    image = blobs(spacing)
    mask, coarse = find_body(image).mask, coarsen(image, level_mm)
    expected = to_mask(sitk.Resample(mask, coarse, sitk.Transform(3, sitk.sitkIdentity), sitk.sitkNearestNeighbor))
    found = to_mask(onto(mask, coarse))
    for axis, (many, few) in enumerate(zip(image.GetSize(), coarse.GetSize(), strict=True)):
        place = (np.arange(few) + 0.5) * many / few - 0.5
        clear = np.flatnonzero(abs(place % 1.0 - 0.5) > 1e-6)  # halfway between two, ITK's choice is one of rounding
        expected, found = expected.take(clear, axis=axis), found.take(clear, axis=axis)
    assert 0.0 < expected.mean() < 1.0
    np.testing.assert_array_equal(found, expected)
