"""Laws of the contrast of lesions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import contrast_to_noise, lesion_contrast_kept
from medfuse.metrics.lesion import surroundings

Case = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def case() -> Case:
    """Return a source with a bright lesion on noise, another without it, and the lesion, (1, 1, 40, 40) each."""
    noise = torch.rand(2, 1, 1, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lesion = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    lesion[..., 18:22, 17:23] = True
    return 50.0 + 10.0 * noise[0] + 80.0 * lesion, 100.0 + 10.0 * noise[1], lesion


def test_a_copy_keeps_all_and_the_other_source_almost_none(case: Case) -> None:
    source, other, lesion = case
    assert lesion_contrast_kept(source, source, lesion).item() == pytest.approx(1.0)
    assert abs(lesion_contrast_kept(source, other, lesion).item()) < 0.05
    assert lesion_contrast_kept(source, torch.full_like(source, 7.0), lesion).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("share", [0.25, 0.5, 2.0, -1.0])
def test_contrast_is_linear_and_sees_no_offset(case: Case, share: float) -> None:
    source, _, lesion = case
    assert lesion_contrast_kept(source, share * source + 9.0, lesion).item() == pytest.approx(share)


def test_the_maximum_hides_what_is_darker(case: Case) -> None:
    source, other, lesion = case
    kept = lesion_contrast_kept(source, torch.maximum(source, other), lesion).item()
    assert 0.3 < kept < 0.5  # 135 over 105 in place of 135 over 55


def test_contrast_to_noise_of_known_noise(case: Case) -> None:
    _, _, lesion = case
    checkers = (torch.arange(40)[:, None] + torch.arange(40)).remainder(2).double()[None, None]
    image = 100.0 + 4.0 * checkers
    image[lesion] = 122.0
    assert contrast_to_noise(image, lesion).item() == pytest.approx(20.0 / 2.0)
    assert contrast_to_noise(3.0 * image + 5.0, lesion).item() == pytest.approx(10.0)
    assert contrast_to_noise(-image, lesion).item() == pytest.approx(-10.0)


def test_the_ring_leaves_out_what_is_next_to_the_lesion(case: Case) -> None:
    lesion = case[2]
    ring = surroundings(lesion)
    assert ring.sum() == 12 * 14 - 6 * 8
    assert not ring[..., 17:23, 16:24].any()
    assert ring[..., 14:26, 13:27].sum() == ring.sum()


def test_the_ring_stays_inside_the_mask(case: Case) -> None:
    source, _, lesion = case
    mask = torch.ones_like(lesion)
    mask[..., :16, :] = False
    changed = source.clone()
    changed[..., :16, :] = 999.0
    assert lesion_contrast_kept(source, changed, lesion, mask).item() == pytest.approx(1.0)
    assert contrast_to_noise(changed, lesion, mask).item() == contrast_to_noise(source, lesion, mask).item()
    assert lesion_contrast_kept(source, changed, lesion).item() < 0.0


def test_no_lesion_no_ring_or_no_contrast_is_no_value(case: Case) -> None:
    source, _, lesion = case
    nowhere = torch.zeros_like(lesion)
    assert math.isnan(lesion_contrast_kept(source, source, nowhere).item())
    assert math.isnan(lesion_contrast_kept(source, source, lesion, nowhere).item())
    blank = torch.full_like(source, 3.0)
    assert math.isnan(lesion_contrast_kept(blank, source, lesion).item())
    assert math.isnan(contrast_to_noise(blank, lesion).item())


def test_volumes_have_rings_in_three_axes() -> None:
    lesion = torch.zeros(1, 1, 20, 20, 20, dtype=torch.bool)
    lesion[..., 9:11, 9:11, 9:11] = True
    source = 10.0 + 50.0 * lesion
    assert surroundings(lesion).sum() == 10**3 - 4**3
    assert lesion_contrast_kept(source, 0.5 * source, lesion).item() == pytest.approx(0.5)


def test_a_lesion_that_is_no_mask_is_refused(case: Case) -> None:
    source, _, lesion = case
    with pytest.raises(OptionError, match=r"torch\.float64"):
        lesion_contrast_kept(source, source, lesion.double())
    with pytest.raises(OptionError, match="mask has shape"):
        contrast_to_noise(source, lesion, lesion[..., :5])
