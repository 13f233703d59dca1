"""Training: an invertible network learns an inverse problem from both of its ends.

Ardizzone et al., "Analyzing Inverse Problems with Invertible Neural Networks", ICLR 2019: what is sought, x, is mapped
to what is measured, y, and a latent z ~ N(0, I), which takes up what y loses. Backwards, a measured y with many z gives
the whole posterior p(x | y).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from medfuse.errors import OptionError
from medfuse.losses import maximum_mean_discrepancy, normality_loss
from medfuse.losses.latent import SCALES
from medfuse.networks.vector_flow import VectorFlow
from medfuse.training.optimization import rate

_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class InverseOptions:
    """What the training of an inverse problem depends on beside its data.

    Attributes:
        steps: optimizer steps.
        batch_size: pairs (x, y) in a step.
        learning_rate: the highest learning rate.
        measured: weight of the squared error of y.
        latent: weight of the discrepancy of (y, z) from p(y) N(0, I).
        backward: weight of the discrepancy of the x that are drawn from p(x).
        padding: weight of the squared values of the padding of x, backwards.
        likelihood: weight of the negative log-likelihood of x, forwards; 0 for the published objective. Kruse et al.,
            "Benchmarking Invertible Architectures on Inverse Problems", ICML workshop 2019.
        scales: of the discrepancies.
        noise: deviation of the noise on y and on the padding.
        clip_norm: largest norm of the gradient.
        seed: of batches, noise and latents.

    Raises:
        OptionError: if a number is outside what is allowed.
    """

    steps: int = 1500
    batch_size: int = 300
    learning_rate: float = 2e-3
    measured: float = 10.0
    latent: float = 50.0
    backward: float = 50.0
    padding: float = 3.0
    likelihood: float = 1.0
    scales: tuple[float, ...] = SCALES
    noise: float = 0.05
    clip_norm: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2 or not self.learning_rate > 0.0 or not self.clip_norm > 0.0:
            msg = "steps must be at least 1, batch_size at least 2, learning_rate and clip_norm above 0"
            raise OptionError(msg)
        for name in ("measured", "latent", "backward", "padding", "likelihood", "noise", "seed"):
            if getattr(self, name) < 0:
                msg = f"{name} is {getattr(self, name)}; give a number of at least 0"
                raise OptionError(msg)


class InverseProblem(nn.Module):
    """A flow between x, padded, and [z, y].

    Args:
        sought: length of x.
        measured: length of y.
        latent: length of z; of x, y and z together the flow has ``max(sought, measured + latent)`` dimensions.
        nodes: couplings.
        hidden: width of the networks inside.

    Raises:
        OptionError: if x is longer than y and z together.
    """

    def __init__(self, sought: int, measured: int, latent: int, nodes: int = 6, hidden: int = 64) -> None:
        super().__init__()
        if sought > measured + latent:
            msg = f"sought is {sought}, measured {measured}, latent {latent}; y and z together must hold all of x"
            raise OptionError(msg)
        self.sought, self.measured, self.latent = sought, measured, latent
        self.flow = VectorFlow(measured + latent, nodes, hidden)

    def forward(self, x: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Map x (N, sought) to y (N, measured) and z (N, latent); noise is the deviation of the padding."""
        return self.with_log_determinant(x, noise)[:2]

    def with_log_determinant(self, x: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
        """Do as ``forward``, and return the log-determinant, (N,), too."""
        padding = noise * torch.randn(x.shape[0], self.measured + self.latent - self.sought).to(x)
        mapped, log_determinant = self.flow.with_log_determinant(torch.cat([x, padding], dim=1))
        return mapped[:, self.latent :], mapped[:, : self.latent], log_determinant

    def inverse(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map y (N, measured) and z (N, latent) to x (N, sought) and its padding."""
        x = self.flow.inverse(torch.cat([z, y], dim=1))
        return x[:, : self.sought], x[:, self.sought :]

    @torch.no_grad()
    def posterior(self, y: Tensor, draws: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw from p(x | y).

        Args:
            y: what was measured, (N, measured).
            draws: how many for each.
            generator: of the latents.

        Returns:
            (N, draws, sought).
        """
        z = torch.randn(y.shape[0] * draws, self.latent, generator=generator).to(y)
        return self.inverse(y.repeat_interleave(draws, dim=0), z)[0].reshape(y.shape[0], draws, self.sought)


def inverse_terms(problem: InverseProblem, x: Tensor, y: Tensor, options: InverseOptions) -> dict[str, Tensor]:
    """Return the weighted terms of the objective, forward and backward.

    Args:
        problem: the network in training.
        x: what is sought, (N, sought).
        y: what is measured, (N, measured).
        options: weights and noise.

    Returns:
        Scalars by name; their sum is the loss.
    """
    measured = y + options.noise * torch.randn_like(y)
    found, latent, log_determinant = problem.with_log_determinant(x, options.noise)
    z = torch.randn_like(latent)
    drawn, padding = problem.inverse(measured, z)
    joint = torch.cat([found.detach(), latent], dim=1)  # the latent is to fit what is measured, not the other way
    terms = {
        "measured": options.measured * functional.mse_loss(found, y),
        "latent": options.latent * maximum_mean_discrepancy(joint, torch.cat([measured, z], dim=1), options.scales),
        "backward": options.backward * maximum_mean_discrepancy(drawn, x, options.scales),
        "padding": options.padding * padding.square().mean(),
    }
    if options.likelihood:
        standard = torch.cat([latent, (found - measured) / max(options.noise, _LEAST_NOISE)], dim=1)
        terms["likelihood"] = options.likelihood * normality_loss(standard, log_determinant)
    return terms


def train_inverse(
    problem: InverseProblem, x: Tensor, y: Tensor, options: InverseOptions | None = None
) -> list[dict[str, float]]:
    """Train on pairs of what is sought and what is measured.

    Args:
        problem: the network; it is changed.
        x: (M, sought), in units in which a typical distance is about 1.
        y: (M, measured).
        options: what the run depends on; None for the defaults.

    Returns:
        The terms of each step.
    """
    options = options or InverseOptions()
    adam = torch.optim.Adam(problem.parameters(), lr=options.learning_rate, betas=(0.8, 0.9))
    curve = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        for step in range(options.steps):
            for group in adam.param_groups:
                group["lr"] = options.learning_rate * rate(step, options.steps)
            members = torch.randint(len(x), (options.batch_size,))
            terms = inverse_terms(problem, x[members], y[members], options)
            adam.zero_grad()
            torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(problem.parameters(), options.clip_norm)
            adam.step()
            curve.append({name: term.item() for name, term in terms.items()})
    return curve


def calibration_error(draws: Tensor, truth: Tensor, levels: int = 19) -> float:
    """Return how far confidence is from the truth: the median over confidence levels of their gap.

    The interval of a level q lies between the quantiles (1 - q) / 2 and (1 + q) / 2 of the draws, for each dimension
    apart; a calibrated posterior has the truth inside in a share q of the cases.

    Args:
        draws: from each posterior, (N, draws, D).
        truth: (N, D).
        levels: number of confidence levels, evenly spaced between 0 and 1.

    Returns:
        From 0 (calibrated) to 1.
    """
    rank = (draws < truth[:, None]).to(truth.dtype).mean(dim=1)  # (N, D)
    confidence = torch.arange(1, levels + 1).to(truth) / (levels + 1)
    inside = (2.0 * (rank - 0.5).abs())[..., None] <= confidence  # (N, D, levels)
    return float((inside.to(truth.dtype).mean(dim=(0, 1)) - confidence).abs().median())
