"""Masks and ranges mean the same for every measure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medfuse import metrics
from medfuse.errors import OptionError

Triple = Callable[[Tensor, Tensor, Tensor, "Tensor | None"], Tensor]

PIXELWISE: dict[str, Triple] = {
    "EN": lambda a, b, f, m: metrics.entropy(f, m),
    "SD": lambda a, b, f, m: metrics.standard_deviation(f, m),
    "SF": lambda a, b, f, m: metrics.spatial_frequency(f, m),
    "AG": lambda a, b, f, m: metrics.average_gradient(f, m),
    "MI": lambda a, b, f, m: metrics.mutual_information(a, f, m),
    "NMI": lambda a, b, f, m: metrics.normalized_mutual_information(a, f, m),
    "CC": lambda a, b, f, m: metrics.correlation(a, f, m),
    "SCD": metrics.sum_of_correlations_of_differences,
    "MSE": lambda a, b, f, m: metrics.mean_squared_error(a, f, m),
    "PSNR": lambda a, b, f, m: metrics.peak_signal_to_noise_ratio(a, f, 255.0, m),
}
WINDOWED: dict[str, Triple] = {
    "SSIM": lambda a, b, f, m: metrics.structural_similarity(a, f, 255.0, m),
    "VIF": lambda a, b, f, m: metrics.visual_information_fidelity(a, f, m),
    "Qabf": metrics.edge_transfer,
    "Qabf of a source": lambda a, b, f, m: metrics.source_edge_transfer(a, f, m),
    "FMI": lambda a, b, f, m: metrics.feature_mutual_information(a, f, m),
    "Q_CV": metrics.regional_difference,
    "Q_CB": metrics.contrast_preservation,
    "invented": metrics.invented_structure,
    "lost": lambda a, b, f, m: metrics.lost_structure(a, f, m),
}
EVERY = PIXELWISE | WINDOWED
REACH = {"SSIM": 3, "Qabf": 1, "Qabf of a source": 1, "FMI": 2, "invented": 5, "lost": 5}  # pixels

RANGED: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "EN": lambda a, b, f, r: metrics.entropy(f, data_range=r),
    "MI": lambda a, b, f, r: metrics.mutual_information(a, f, data_range=r),
    "NMI": lambda a, b, f, r: metrics.normalized_mutual_information(a, f, data_range=r),
    "VIF": lambda a, b, f, r: metrics.visual_information_fidelity(a, f, data_range=r),
    "Qabf": lambda a, b, f, r: metrics.edge_transfer(a, b, f, data_range=r),
    "Qabf of a source": lambda a, b, f, r: metrics.source_edge_transfer(a, f, data_range=r),
    "Q_CV": lambda a, b, f, r: metrics.regional_difference(a, b, f, data_range=r),
    "SSIM": lambda a, b, f, r: metrics.structural_similarity(a, f, r),
    "PSNR": lambda a, b, f, r: metrics.peak_signal_to_noise_ratio(a, f, r),
}


@pytest.fixture
def images() -> list[Tensor]:
    """Return two sources and a fused image of whole gray levels, large enough for every window, (2, 1, 60, 64)."""
    noise = torch.rand(3, 2, 1, 60, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool2d(noise.flatten(0, 1), 3, 1, 1).view_as(noise)
    return list(torch.round(255.0 * smooth))


@pytest.fixture
def mask(images: list[Tensor]) -> Tensor:
    inside = torch.zeros_like(images[0], dtype=torch.bool)
    inside[..., 15:45, 15:50] = True
    inside[1, ..., 20:24, 20:30] = False
    return inside


@pytest.mark.parametrize("name", EVERY)
def test_a_mask_of_everything_changes_nothing(images: list[Tensor], name: str) -> None:
    whole = torch.ones_like(images[0], dtype=torch.bool)
    torch.testing.assert_close(EVERY[name](*images, whole), EVERY[name](*images, None))


@pytest.mark.parametrize("name", EVERY)
def test_a_mask_matters(images: list[Tensor], mask: Tensor, name: str) -> None:
    assert (EVERY[name](*images, mask) != EVERY[name](*images, None)).any()


@pytest.mark.parametrize("name", PIXELWISE)
def test_outside_nothing_counts(images: list[Tensor], mask: Tensor, name: str) -> None:
    broken = [image.masked_fill(~mask, torch.nan) for image in images]
    torch.testing.assert_close(PIXELWISE[name](*broken, mask), PIXELWISE[name](*images, mask))


@pytest.mark.parametrize("name", sorted(set(PIXELWISE) - {"AG"}))
def test_inside_is_measured_as_if_it_were_all(images: list[Tensor], mask: Tensor, name: str) -> None:
    mask[1] = mask[0]
    cut = [image[..., 15:45, 15:50] for image in images]
    torch.testing.assert_close(PIXELWISE[name](*images, mask), PIXELWISE[name](*cut, None))


def test_gradients_count_whose_neighbors_are_inside(images: list[Tensor], mask: Tensor) -> None:
    mask[1] = mask[0]
    rows, columns = torch.gradient(images[2], dim=(2, 3))
    slopes = ((rows.square() + columns.square()) / 2.0).sqrt()[..., 16:44, 16:49]
    torch.testing.assert_close(PIXELWISE["AG"](*images, mask), slopes.mean(dim=(1, 2, 3)))


@pytest.mark.parametrize("name", REACH)
def test_windows_reach_no_further_than_they_are(images: list[Tensor], mask: Tensor, name: str) -> None:
    near = torch.nn.functional.max_pool2d(mask.double(), 2 * REACH[name] + 1, 1, REACH[name]) > 0
    changed = [image.masked_fill(~near, 200.0) for image in images]
    torch.testing.assert_close(WINDOWED[name](*changed, mask), WINDOWED[name](*images, mask))


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_mask_leaves_no_value(images: list[Tensor], mask: Tensor, name: str) -> None:
    mask[0] = False
    assert torch.isnan(EVERY[name](*images, mask)).tolist() == [True, False]


@pytest.mark.parametrize("name", EVERY)
def test_masks_that_do_not_fit_are_refused(images: list[Tensor], mask: Tensor, name: str) -> None:
    with pytest.raises(OptionError, match=r"mask is of type torch\.float64; give torch\.bool"):
        EVERY[name](*images, mask.double())
    with pytest.raises(OptionError, match=r"mask has shape \(2, 1, 60, 63\)"):
        EVERY[name](*images, mask[..., 1:])


@pytest.mark.parametrize("name", RANGED)
def test_another_unit_with_its_range_gives_the_same(images: list[Tensor], name: str) -> None:
    scaled = [image / 255.0 for image in images]
    torch.testing.assert_close(RANGED[name](*scaled, 1.0), RANGED[name](*images, 255.0))
    assert (RANGED[name](*scaled, 255.0) != RANGED[name](*images, 255.0)).any()


@pytest.mark.parametrize("name", RANGED)
@pytest.mark.parametrize("data_range", [0.0, -1.0, float("nan")])
def test_ranges_that_are_none_are_refused(images: list[Tensor], name: str, data_range: float) -> None:
    with pytest.raises(OptionError, match="data_range is"):
        RANGED[name](*images, data_range)


@pytest.mark.parametrize("name", PIXELWISE)
def test_masks_of_volumes(volumes: list[Tensor], name: str) -> None:
    first, fused = volumes
    triple = first, first.flip(2), fused
    mask = torch.zeros_like(first, dtype=torch.bool)
    mask[..., 1:7, 2:8, 1:9] = True
    broken = [volume.masked_fill(~mask, torch.nan) for volume in triple]
    value = PIXELWISE[name](*broken, mask)
    assert torch.isfinite(value).all()
    torch.testing.assert_close(value, PIXELWISE[name](*triple, mask))
