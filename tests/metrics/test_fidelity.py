"""Laws of the visual information fidelity."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from medfuse.errors import OptionError
from medfuse.metrics import fidelity, visual_information_fidelity


@pytest.fixture
def pictures() -> list[Tensor]:
    noise = torch.rand(2, 2, 1, 64, 56, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [255.0 * F.avg_pool2d(image, 3, 1, 1) for image in noise]


def test_a_copy_keeps_everything(pictures: list[Tensor]) -> None:
    source, _ = pictures
    torch.testing.assert_close(
        visual_information_fidelity(source, source), torch.ones(2, dtype=torch.float64), atol=1e-8, rtol=0.0
    )


def test_a_constant_keeps_nothing(pictures: list[Tensor]) -> None:
    source, _ = pictures
    assert visual_information_fidelity(source, torch.full_like(source, 100.0)).tolist() == [0.0, 0.0]


def test_more_contrast_is_more_than_a_copy(pictures: list[Tensor]) -> None:
    source, _ = pictures
    assert (visual_information_fidelity(source, 1.5 * source) > 1.0).all()


def test_less_of_the_source_is_less(pictures: list[Tensor]) -> None:
    source, other = pictures
    shares = [1.0, 0.9, 0.6, 0.3]
    kept = [visual_information_fidelity(source, share * source + (1.0 - share) * other) for share in shares]
    for more, less in pairwise(kept):
        assert (more > less).all()


def test_an_offset_changes_nothing(pictures: list[Tensor]) -> None:
    source, other = pictures
    torch.testing.assert_close(
        visual_information_fidelity(source + 20.0, other - 30.0), visual_information_fidelity(source, other)
    )


def test_float32_agrees_with_float64(pictures: list[Tensor]) -> None:
    source, other = pictures
    single = visual_information_fidelity(source.float() + 150.0, other.float() + 150.0)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), visual_information_fidelity(source, other), atol=1e-4, rtol=0.0)


def test_each_image_of_a_batch_is_judged_alone(pictures: list[Tensor]) -> None:
    source, other = pictures
    alone = [visual_information_fidelity(source[i : i + 1], other[i : i + 1]).item() for i in range(2)]
    assert visual_information_fidelity(source, other).tolist() == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("level", [0.0, 77.7, 255.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_blank_source_has_no_fidelity(pictures: list[Tensor], level: float, dtype: torch.dtype) -> None:
    source, other = (picture.to(dtype) for picture in pictures)
    source[0] = level
    kept = visual_information_fidelity(source, other)
    assert torch.isnan(kept).tolist() == [True, False]


def test_the_smallest_image_has_41_pixels_a_side(pictures: list[Tensor]) -> None:
    source, other = pictures
    assert torch.isfinite(visual_information_fidelity(source[..., :41, :41], other[..., :41, :41])).all()
    with pytest.raises(OptionError, match=r"\(40, 40\) pixels"):
        visual_information_fidelity(source[..., :40, :40], other[..., :40, :40])


def test_windows_count_by_their_centers_on_each_scale(pictures: list[Tensor]) -> None:
    """The mean of a ramp over a window is the place of its center, however often the ramp was halved."""
    source, other = pictures
    mask = torch.rand(source.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    height, width = source.shape[2:]
    rows = torch.arange(height, dtype=torch.float64)[:, None].expand_as(source) - (height - 1) / 2.0
    columns = torch.arange(width, dtype=torch.float64).expand_as(source) - (width - 1) / 2.0
    kept, available = torch.zeros(2, 2, dtype=torch.float64)
    for windows, windows_other, row, column in zip(*fidelity.scales([source, other, rows, columns]), strict=True):
        y = (row.mean[:, 0] + (height - 1) / 2.0).round().long()
        x = (column.mean[:, 0] + (width - 1) / 2.0).round().long()
        inside = mask[torch.arange(2)[:, None, None], 0, y, x][:, None]
        maps = fidelity._information(windows.variance, windows_other.variance, windows.covariance(windows_other))
        kept += (maps[0] * inside).sum(dim=(1, 2, 3))
        available += (maps[1] * inside).sum(dim=(1, 2, 3))
    torch.testing.assert_close(visual_information_fidelity(source, other, mask), kept / available)
