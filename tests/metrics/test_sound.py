"""The sound suite: each source by itself, the worst of both, inside the foreground."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from medfuse import metrics
from medfuse.errors import OptionError
from medfuse.metrics import HIGHER_IS_BETTER, foreground_mask, published_suite, sound_suite

PER_SOURCE = ["VIF", "Qabf", "SSIM", "NMI", "FMI", "lost"]
NAMES = [f"{name}_{kind}" for name in PER_SOURCE for kind in ("first", "second", "worst")]
NAMES += ["invented", "EN", "SD", "SF", "AG"]


def test_the_names_are_these(images: list[Tensor]) -> None:
    found = sound_suite(*images)
    assert list(found) == NAMES
    for values in found.values():
        assert values.shape == (2,)
        assert values.dtype == torch.float64
        assert torch.isfinite(values).all()


def test_every_value_of_both_suites_has_a_direction(images: list[Tensor]) -> None:
    assert set(HIGHER_IS_BETTER) == {*sound_suite(*images), *published_suite(*images)}
    assert {name for name, more in HIGHER_IS_BETTER.items() if not more} == {
        "lost_first",
        "lost_second",
        "lost_worst",
        "invented",
        "MSE",
    }


def test_values_are_those_of_the_measures(images: list[Tensor]) -> None:
    first, second, fused = images
    mask = foreground_mask(first, second)
    mask[..., :10] = False
    found = sound_suite(first, second, fused, mask)
    for kind, source in (("first", first), ("second", second)):
        expected = {
            "VIF": metrics.visual_information_fidelity(source, fused, mask),
            "Qabf": metrics.source_edge_transfer(source, fused, mask),
            "SSIM": metrics.structural_similarity(source, fused, 255.0, mask),
            "NMI": metrics.normalized_mutual_information(source, fused, mask),
            "FMI": metrics.feature_mutual_information(source, fused, mask),
            "lost": metrics.lost_structure(source, fused, mask),
        }
        for name, values in expected.items():
            torch.testing.assert_close(found[f"{name}_{kind}"], values, msg=lambda m, n=name: f"{n}: {m}")
    torch.testing.assert_close(found["invented"], metrics.invented_structure(first, second, fused, mask))
    torch.testing.assert_close(found["EN"], metrics.entropy(fused, mask))
    torch.testing.assert_close(found["SD"], metrics.standard_deviation(fused, mask))
    torch.testing.assert_close(found["SF"], metrics.spatial_frequency(fused, mask))
    torch.testing.assert_close(found["AG"], metrics.average_gradient(fused, mask))


def test_a_copy_of_one_source_does_not_hide_the_loss_of_the_other(images: list[Tensor]) -> None:
    first, second, _ = images
    found = sound_suite(first, second, first)
    for name in set(PER_SOURCE) - {"lost"}:
        assert (found[f"{name}_first"] > found[f"{name}_second"]).all()
        assert torch.equal(found[f"{name}_worst"], found[f"{name}_second"])
    assert found["lost_first"].tolist() == [0.0, 0.0]
    assert torch.equal(found["lost_worst"], found["lost_second"])
    assert found["invented"].tolist() == [0.0, 0.0]


def test_exchanged_sources_exchange_their_values(images: list[Tensor]) -> None:
    first, second, fused = images
    found, exchanged = sound_suite(first, second, fused), sound_suite(second, first, fused)
    other = {"first": "second", "second": "first"}
    for name, values in found.items():
        base, _, kind = name.partition("_")
        torch.testing.assert_close(values, exchanged[f"{base}_{other[kind]}" if kind in other else name])


def test_the_background_does_not_count(images: list[Tensor]) -> None:
    """Noise far outside the head raises no value, though it raises the entropy of the whole picture."""
    first, second, fused = (torch.nn.functional.pad(image, (60, 60, 60, 60)) for image in images)
    noisy = fused.clone()
    noisy[..., :15] = torch.arange(15.0)
    found, expected = sound_suite(first, second, noisy), sound_suite(first, second, fused)
    assert (metrics.entropy(noisy) > metrics.entropy(fused)).all()
    for name, values in found.items():
        if not name.startswith("VIF"):  # its coarsest windows reach that far
            torch.testing.assert_close(values, expected[name])


def test_any_range_will_do(images: list[Tensor]) -> None:
    found = sound_suite(*(image / 255.0 for image in images), data_range=1.0)
    for name, values in sound_suite(*images).items():
        scale = 255.0 if name in ("SD", "SF", "AG") else 1.0
        torch.testing.assert_close(scale * found[name], values, rtol=1e-5, atol=1e-6)


def test_a_blank_source_has_no_value_and_is_not_the_worst(images: list[Tensor]) -> None:
    first, second, fused = images
    first[0] = 0.0
    found = sound_suite(first, second, fused)
    for name in ("VIF", "Qabf", "FMI", "lost"):
        assert torch.isnan(found[f"{name}_first"]).tolist() == [True, False]
        assert found[f"{name}_worst"][0] == found[f"{name}_second"][0]


def test_a_black_pair_has_no_values() -> None:
    black = torch.zeros(1, 1, 44, 44)
    assert all(torch.isnan(values).all() for values in sound_suite(black, black, black).values())


def test_volumes_are_judged_in_three_axes_or_slice_by_slice(images: list[Tensor]) -> None:
    volumes = [torch.stack([image, image.flip(2), image.flip(3)], dim=-1) for image in images]  # (2, 1, 44, 48, 3)
    volumes = [torch.cat([volume, volume, volume], dim=-1) for volume in volumes]
    mask = torch.ones_like(volumes[0], dtype=torch.bool)
    found = sound_suite(*volumes, mask)
    flat = [volume[..., :3].movedim(-1, 1).flatten(0, 1) for volume in (*volumes, mask)]
    slices = sound_suite(*flat[:3], flat[3])
    for name in ("VIF_first", "Qabf_second", "FMI_first"):
        torch.testing.assert_close(found[name], slices[name].view(2, 3).mean(dim=1))
    torch.testing.assert_close(found["FMI_worst"], torch.fmin(found["FMI_first"], found["FMI_second"]))
    torch.testing.assert_close(found["SSIM_first"], metrics.structural_similarity(volumes[0], volumes[2], 255.0))
    torch.testing.assert_close(found["invented"], metrics.invented_structure(*volumes))


def test_images_of_other_shapes_are_refused(images: list[Tensor]) -> None:
    with pytest.raises(OptionError, match=r"\(2, 1, 44, 47\)"):
        sound_suite(images[0], images[1][..., 1:], images[2])
    with pytest.raises(OptionError, match="data_range is"):
        sound_suite(*images, data_range=0.0)
    with pytest.raises(OptionError, match="mask has shape"):
        sound_suite(*images, torch.ones(2, 1, 3, 3, dtype=torch.bool))
