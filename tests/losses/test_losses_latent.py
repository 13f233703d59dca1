"""Laws of the losses on samples and latents."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.losses import maximum_mean_discrepancy, normality_loss
from medfuse.losses.latent import SCALES


def sample(number: int, seed: int = 0) -> Tensor:
    return torch.randn(number, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(x: Tensor, y: Tensor, scales: tuple[float, ...]) -> float:
    """Return the same with loops over all pairs, as the papers write it."""

    def mean(first: Tensor, second: Tensor) -> float:
        total = 0.0
        for one in first.tolist():
            for other in second.tolist():
                squared = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
                total += sum(scale**2 / (scale**2 + squared) for scale in scales) / len(scales)
        return total / (len(first) * len(second))

    return mean(x, x) + mean(y, y) - 2.0 * mean(x, y)


def test_equal_samples_are_of_one_distribution() -> None:
    x = sample(20)
    assert maximum_mean_discrepancy(x, x).item() == pytest.approx(0.0, abs=1e-12)
    assert maximum_mean_discrepancy(x, x.flip(0)).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("scales", [SCALES, (0.7,)])
def test_it_is_what_loops_over_all_pairs_give(scales: tuple[float, ...]) -> None:
    x, y = sample(9), 1.5 * sample(6, 1) + 0.3
    assert maximum_mean_discrepancy(x, y, scales).item() == pytest.approx(naive(x, y, scales), abs=1e-12)


def test_order_does_not_matter() -> None:
    x, y = sample(20), 2.0 * sample(15, 1)
    assert maximum_mean_discrepancy(x, y).item() == pytest.approx(maximum_mean_discrepancy(y, x).item())


def test_it_grows_with_a_shift() -> None:
    x, y = sample(200), sample(200, 1)
    found = [maximum_mean_discrepancy(x, y + shift).item() for shift in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)]
    assert found == sorted(found)
    assert found[0] < 0.01
    assert 0.5 < found[-1] < 2.0


def test_samples_far_apart_pull_on_each_other() -> None:
    """The kernel's tails are heavy: that of a normal distribution would give no gradient at such a distance."""
    x, y = sample(50), (sample(50, 1) + 50.0).requires_grad_()
    maximum_mean_discrepancy(x, y).backward()
    assert bool((y.grad.sum(dim=0) > 1e-6).all())


def test_its_gradient_is_that_of_its_values() -> None:
    x, y = sample(5).requires_grad_(), sample(4, 1).requires_grad_()
    assert torch.autograd.gradcheck(maximum_mean_discrepancy, (x, y))


def test_normal_noise_costs_a_half() -> None:
    latent = sample(20_000).reshape(2000, 5, 6)
    assert normality_loss(latent, torch.zeros(2000)).item() == pytest.approx(0.5, abs=0.01)


def test_the_right_scale_is_the_most_likely() -> None:
    """Samples of deviation 3 are most likely under the map that divides by 3."""
    x = 3.0 * sample(20_000)
    losses = {
        scale: normality_loss(x / scale, -3.0 * torch.tensor(scale).log().expand(len(x))).item()
        for scale in (2.5, 3.0, 3.5)
    }
    assert min(losses, key=lambda scale: losses[scale]) == 3.0
