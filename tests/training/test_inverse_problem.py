"""Training from both ends, on a problem whose posterior is known; and what calibration is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.training.inverse_problem import (
    InverseOptions,
    InverseProblem,
    calibration_error,
    inverse_terms,
    train_inverse,
)

FEW = InverseOptions(steps=200, batch_size=128, noise=0.02)


def signs(number: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return numbers near -1 and 1, and their absolute values, which do not tell which."""
    generator = torch.Generator().manual_seed(seed)
    sign = 2.0 * torch.randint(2, (number, 1), generator=generator) - 1.0
    x = sign * (1.0 + 0.1 * torch.randn(number, 1, generator=generator))
    return x, x.abs()


@pytest.fixture(scope="module")
def trained() -> InverseProblem:
    torch.manual_seed(0)
    problem = InverseProblem(sought=1, measured=1, latent=1, nodes=4, hidden=24)
    curve = train_inverse(problem, *signs(4000), FEW)
    assert len(curve) == FEW.steps
    assert sum(curve[-1].values()) < 0.2 * sum(curve[0].values())
    return problem


def test_both_answers_are_drawn(trained: InverseProblem) -> None:
    drawn = trained.posterior(torch.tensor([[1.0]]), 1000, torch.Generator().manual_seed(0))
    assert drawn.shape == (1, 1000, 1)
    assert 0.25 < float((drawn > 0.5).float().mean()) < 0.75
    assert float((drawn.abs() > 0.5).float().mean()) > 0.6


def test_the_easy_direction_is_learned(trained: InverseProblem) -> None:
    x, y = signs(500, 1)
    with torch.no_grad():
        found, latent = trained(x)
    assert float((found - y).abs().mean()) < 0.2
    assert 0.6 < float(latent.std()) < 1.4


def test_there_and_back(trained: InverseProblem) -> None:
    x, _ = signs(50, 1)
    with torch.no_grad():
        back, padding = trained.inverse(*trained(x))
    torch.testing.assert_close(back, x, atol=1e-4, rtol=0.0)
    assert float(padding.abs().max()) < 1e-4


def test_the_same_seed_draws_the_same(trained: InverseProblem) -> None:
    y = torch.tensor([[1.0], [0.9]])
    first, again, other = (trained.posterior(y, 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    problem = InverseProblem(1, 1, 1, nodes=1, hidden=2)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    train_inverse(problem, *signs(20), InverseOptions(steps=1, batch_size=4))
    assert torch.equal(torch.rand(3), wanted)


def test_terms_are_weighted() -> None:
    torch.manual_seed(0)
    problem, found = InverseProblem(1, 1, 1, nodes=1, hidden=2), []
    for weight in (1.0, 3.0):
        torch.manual_seed(1)
        options = InverseOptions(measured=weight, latent=weight, backward=weight, padding=weight, likelihood=weight)
        found.append(inverse_terms(problem, *signs(30), options))
    assert set(found[0]) == {"measured", "latent", "backward", "padding", "likelihood"}
    published = inverse_terms(problem, *signs(30), InverseOptions(likelihood=0.0))
    assert set(published) == {"measured", "latent", "backward", "padding"}
    for name, term in found[0].items():
        assert term.item() != 0.0
        assert found[1][name].item() == pytest.approx(3.0 * term.item(), rel=1e-5)


def test_the_true_posterior_is_calibrated_and_a_narrow_one_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(3000, 2, generator=generator)
    truth = center + torch.randn(3000, 2, generator=generator)
    noise = torch.randn(3000, 400, 2, generator=generator)
    assert calibration_error(center[:, None] + noise, truth) < 0.02
    assert calibration_error(center[:, None] + 0.3 * noise, truth) > 0.2
    assert calibration_error(center[:, None] + 3.0 * noise, truth) > 0.2


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(OptionError, match="y and z together must hold all of x"):
        InverseProblem(sought=4, measured=1, latent=2)
    with pytest.raises(OptionError, match="steps must be at least 1"):
        InverseOptions(steps=0)
    with pytest.raises(OptionError, match=r"latent is -1\.0; give a number of at least 0"):
        InverseOptions(latent=-1.0)
