"""The protocols of the two suites: what is rounded, what is stretched, what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from made_slices import picture

from medfuse.evaluation.protocol import score, stretched
from medfuse.io.png_slices import read_gray
from medfuse.metrics import published_suite, sound_suite
from medfuse.networks.rules import RULES


def pair() -> torch.Tensor:
    pictures = [torch.from_numpy(picture(seed, coarse)) for seed, coarse in ((0, 2), (1, 8))]
    return torch.stack(pictures)[None].float() / 255.0


def test_the_published_suite_does_not_see_brightness_and_contrast() -> None:
    image = pair()
    fused = RULES["average"](image)
    first, second = image.chunk(2, dim=1)
    as_it_is, dim = (score(first, second, one) for one in (fused, 0.3 + 0.4 * fused))
    for name, values in as_it_is.items():
        if name.startswith("published."):
            torch.testing.assert_close(dim[name], values, rtol=0.02, atol=1e-3)
    assert dim["sound.SD"] < 0.5 * as_it_is["sound.SD"]


def test_each_suite_gets_its_own_levels() -> None:
    image = pair()
    first, second = image.chunk(2, dim=1)
    fused = 0.2 + 0.5 * RULES["average"](image)
    found = score(first, second, fused)
    levels = 255 * (fused.double() - fused.min()) / (fused.max() - fused.min())
    expected = published_suite((255 * first).round(), (255 * second).round(), levels.round())
    sound = sound_suite(*(255 * one.double() for one in (first, second, fused)))
    assert set(found) == {f"published.{name}" for name in expected} | {f"sound.{name}" for name in sound}
    for name, values in expected.items():
        torch.testing.assert_close(found[f"published.{name}"], values, rtol=1e-3, atol=1e-5, equal_nan=True)
    for name, values in sound.items():
        torch.testing.assert_close(found[f"sound.{name}"], values, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_one_suite_alone_and_a_mask() -> None:
    image = pair()
    first, second = image.chunk(2, dim=1)
    fused = RULES["max"](image)
    assert all(name.startswith("sound.") for name in score(first, second, fused, ("sound",)))
    assert all(name.startswith("published.") for name in score(first, second, fused, ("published",)))
    mask = torch.zeros_like(fused, dtype=torch.bool)
    mask[..., 10:30, 10:30] = True
    inside = score(first, second, fused, mask=mask)
    assert inside["sound.SD"] == pytest.approx((255 * fused[mask]).std(correction=0).item(), rel=1e-5)
    assert inside["published.SD"] == score(first, second, fused)["published.SD"]


def test_stretching_reaches_both_ends_and_leaves_a_blank_slice_black() -> None:
    image = torch.stack([torch.linspace(0.2, 0.6, 16).view(1, 4, 4), torch.full((1, 4, 4), 0.7)])
    made = stretched(image)
    torch.testing.assert_close(made[0], torch.linspace(0, 1, 16).view(1, 4, 4))
    assert torch.equal(made[1], torch.zeros(1, 4, 4))


def test_published_values_on_real_pairs(shared: Path) -> None:
    """The fused image of ``max`` uses the whole range on these pairs, so stretching changes nothing."""
    rows = json.loads((shared / "reference" / "fusion_metrics.json").read_text())["rows"]
    checked = 0
    for row in rows:
        sources = [read_gray(shared / "data" / "slices" / row[key])[None, None] for key in ("a", "b")]
        fused = torch.maximum(*((255 * source).round() for source in sources)) / 255
        if row["rule"] != "max" or fused.min() > 0.0 or fused.max() < 1.0:
            continue
        found = score(*sources, fused, ("published",))
        for name in ("EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM_range2"):
            assert found[f"published.{name}"].item() == pytest.approx(row[name], rel=1e-5)
        checked += 1
    assert checked >= 2
