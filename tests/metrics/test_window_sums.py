"""Sums over windows are those of a convolution, whichever way they are made."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from medfuse.metrics import windows
from medfuse.metrics.windows import Window, WindowMoments, gaussian_profile, padded


@pytest.mark.parametrize("size", [1, 3, 9])
@pytest.mark.parametrize("length_per_weight", [1, 1000])
def test_sums_are_those_of_a_convolution(size: int, length_per_weight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_LENGTH_PER_WEIGHT", length_per_weight)
    image = torch.rand(2, 1, 20, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns = torch.rand(2, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = F.conv2d(image, torch.outer(rows, columns)[None, None])
    torch.testing.assert_close(Window(rows, columns).sums(image), expected)
    expected = F.conv2d(image, torch.outer(rows, rows)[None, None])
    torch.testing.assert_close(Window(rows).sums(image), expected)


@pytest.mark.parametrize("length_per_weight", [1, 1000])
def test_sums_of_volumes(length_per_weight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_LENGTH_PER_WEIGHT", length_per_weight)
    volume = torch.rand(2, 1, 9, 10, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    profiles = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = F.conv3d(volume, torch.einsum("i,j,k->ijk", *profiles)[None, None])
    torch.testing.assert_close(Window(*profiles).sums(volume), expected)


@pytest.mark.parametrize("length_per_weight", [1, 1000])
def test_gradients_flow(length_per_weight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_LENGTH_PER_WEIGHT", length_per_weight)
    image = torch.rand(1, 1, 8, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Window(gaussian_profile(3, 1.0, image)).sums, (image,))


def test_moments_are_those_of_the_pixels() -> None:
    pair = torch.rand(2, 1, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    window = Window(torch.full((5,), 0.2, dtype=torch.float64))
    first, second = (WindowMoments.of(image, window) for image in pair)
    covariances = torch.cov(pair.flatten(1), correction=0)
    assert first.mean.item() == pytest.approx(pair[0].mean().item())
    assert first.variance.item() == pytest.approx(covariances[0, 0].item())
    assert first.covariance(second).item() == pytest.approx(covariances[0, 1].item())


def test_a_gaussian_profile_adds_up_to_1_and_has_its_width() -> None:
    profile = gaussian_profile(33, 3.0, torch.zeros(1, dtype=torch.float64))
    offsets = torch.arange(33.0, dtype=torch.float64) - 16.0
    assert profile.sum().item() == pytest.approx(1.0)
    assert (profile * offsets.square()).sum().sqrt().item() == pytest.approx(3.0, rel=1e-3)


def test_padding_repeats_the_border() -> None:
    image = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    assert padded(image, 2)[0, 0, 0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
