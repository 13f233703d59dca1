"""Laws of reading numbers back from gray levels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import recoverability


@pytest.fixture
def numbers() -> Tensor:
    """Return HU of a made head, (2, 1, 60, 64)."""
    return 1000.0 * torch.randn(2, 1, 60, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def window(values: Tensor, low: float, high: float) -> Tensor:
    return 255.0 * ((values - low) / (high - low)).clamp(0.0, 1.0)


def test_whole_levels_are_read_without_error() -> None:
    levels = torch.arange(256.0, dtype=torch.float64).repeat(16).view(1, 1, 64, 64)
    for values in (levels, 3.0 * levels - 1024.0, -levels, levels.square()):
        found = recoverability(values, levels)
        assert found.rms_error.item() == pytest.approx(0.0, abs=1e-3)
        assert found.explained.item() == pytest.approx(1.0)


def test_error_of_rounding_is_that_of_rounding() -> None:
    values = torch.linspace(0.0, 255.0, 256 * 256, dtype=torch.float64).view(1, 1, 256, 256)
    assert recoverability(values, values).rms_error.item() == pytest.approx(1.0 / math.sqrt(12.0), rel=0.01)


def test_numbers_beyond_the_window_are_gone(numbers: Tensor) -> None:
    wide, narrow = (recoverability(numbers, window(numbers, -width, width)) for width in (4000.0, 80.0))
    assert (wide.explained > 0.999).all()
    assert (narrow.explained < 0.8).all()
    assert (narrow.rms_error > 10.0 * wide.rms_error).all()


def test_error_and_share_tell_the_same(numbers: Tensor) -> None:
    found = recoverability(numbers, window(numbers, -200.0, 300.0))
    variance = numbers.flatten(1).var(dim=1, correction=0)
    torch.testing.assert_close(found.rms_error.square() / variance, 1.0 - found.explained)


def test_a_blank_image_tells_nothing(numbers: Tensor) -> None:
    found = recoverability(numbers, torch.full_like(numbers, 9.0))
    assert found.explained.tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    torch.testing.assert_close(found.rms_error, numbers.flatten(1).std(dim=1, correction=0))


def test_what_is_mixed_in_costs(numbers: Tensor) -> None:
    other = window(numbers.flip(3), -3000.0, 3000.0)
    own = window(numbers, -3000.0, 3000.0)
    explained = [recoverability(numbers, share * own + (1 - share) * other).explained for share in (1.0, 0.7, 0.3)]
    assert (explained[0] > explained[1]).all()
    assert (explained[1] > explained[2]).all()


def test_constant_numbers_have_no_share(numbers: Tensor) -> None:
    found = recoverability(torch.full_like(numbers, 40.0), numbers)
    assert torch.isnan(found.explained).all()
    assert found.rms_error.tolist() == pytest.approx([0.0, 0.0])


def test_only_what_is_inside_the_mask_counts(numbers: Tensor) -> None:
    gray = window(numbers, -500.0, 500.0)
    mask = torch.zeros_like(gray, dtype=torch.bool)
    mask[..., 10:50, 10:50] = True
    expected = recoverability(numbers[..., 10:50, 10:50], gray[..., 10:50, 10:50])
    changed = numbers.masked_fill(~mask, torch.nan)
    found = recoverability(changed, gray.masked_fill(~mask, 255.0), mask)
    torch.testing.assert_close(found.rms_error, expected.rms_error)
    torch.testing.assert_close(found.explained, expected.explained)
    assert torch.isnan(recoverability(numbers, gray, torch.zeros_like(mask)).rms_error).all()


def test_the_range_sets_the_levels(numbers: Tensor) -> None:
    gray = window(numbers, -500.0, 500.0)
    torch.testing.assert_close(recoverability(numbers, gray / 255.0, data_range=1.0), recoverability(numbers, gray))
    with pytest.raises(OptionError, match="data_range is"):
        recoverability(numbers, gray, data_range=0.0)


def test_a_volume_is_one_image(numbers: Tensor) -> None:
    gray = window(numbers, -500.0, 500.0)
    volumes = [image.view(2, 1, 60, 8, 8) for image in (numbers, gray)]
    torch.testing.assert_close(recoverability(*volumes), recoverability(numbers, gray))
