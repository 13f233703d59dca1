"""The per-image optimum: better than what it starts from, and nothing where nothing is."""

from __future__ import annotations

import pytest
import torch
from made_slices import picture

from medfuse.evaluation import oracle
from medfuse.evaluation.oracle import per_image_optimum
from medfuse.metrics import foreground_mask, visual_information_fidelity
from medfuse.metrics.edges import edge_strength
from medfuse.networks.rules import maximum


def image() -> torch.Tensor:
    pictures = [torch.from_numpy(picture(seed, coarse)) for seed, coarse in ((0, 2), (1, 8), (2, 4), (3, 16))]
    return torch.stack(pictures).view(2, 2, 48, 48).float() / 255.0


def worst_fidelity(sources: torch.Tensor, fused: torch.Tensor) -> torch.Tensor:
    kept = [visual_information_fidelity(255 * source, 255 * fused) for source in sources.double().chunk(2, dim=1)]
    return torch.minimum(*kept)


def test_the_worst_source_is_kept_better_than_by_max() -> None:
    sources = image()
    with torch.inference_mode():
        fused = per_image_optimum(sources, steps=40)
    assert fused.shape == (2, 1, 48, 48)
    assert fused.min() >= 0.0
    assert fused.max() <= 1.0
    reached, start = (worst_fidelity(sources, one.double()) for one in (fused, maximum(sources)))
    assert (reached > start).all()
    assert reached.mean() > 1.2 * start.mean()


def test_faint_noise_is_not_raised_to_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = 0.4 + 0.02 * torch.rand(1, 2, 48, 48, generator=torch.Generator().manual_seed(0))
    careful = per_image_optimum(sources, steps=15)
    monkeypatch.setattr(oracle, "_AGAINST_INVENTION", 0.0)
    careless = per_image_optimum(sources, steps=15)
    salient = [(edge_strength(255 * fused) > 0.02 * 255).sum() for fused in (careful, careless)]
    assert salient[0] < 0.9 * salient[1]


def test_the_air_stays_as_max_leaves_it() -> None:
    sources = image()
    air = ~foreground_mask(*(255 * sources).chunk(2, dim=1))
    fused = per_image_optimum(sources, steps=3)
    assert air.any()
    assert torch.equal(fused[air], maximum(sources)[air])
    assert not torch.equal(fused, maximum(sources))


def test_each_image_is_optimized_by_itself() -> None:
    sources = image()
    together = per_image_optimum(sources, steps=3)
    alone = torch.cat([per_image_optimum(one[None], steps=3) for one in sources])
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=0)


def test_a_blank_source_leaves_numbers() -> None:
    sources = image()
    sources[:, 1] = 0.0
    assert torch.isfinite(per_image_optimum(sources, steps=3)).all()
