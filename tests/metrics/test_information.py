"""Laws of entropy and mutual information."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medfuse.metrics import entropy, mutual_information, normalized_mutual_information

NATS_PER_BIT = math.log(2.0)
PAIRWISE = [mutual_information, normalized_mutual_information]


def test_values_equal_the_published_ones(reference_images: list[Tensor], reference_values: dict[str, Tensor]) -> None:
    first, second, fused = reference_images
    shared_information = mutual_information(first, fused) + mutual_information(second, fused)
    torch.testing.assert_close(entropy(fused), reference_values["EN"], rtol=1e-6, atol=0.0)
    torch.testing.assert_close(shared_information, reference_values["MI"], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("levels", [1, 2, 16, 256])
def test_entropy_of_equally_frequent_levels(levels: int) -> None:
    image = torch.arange(256.0).remainder(levels).view(1, 1, 16, 16)
    assert entropy(image).item() == pytest.approx(math.log2(levels))


def test_entropy_sees_no_positions(images: list[Tensor]) -> None:
    image = images[0]
    torch.testing.assert_close(entropy(image.flip(2)), entropy(image))
    torch.testing.assert_close(entropy(255.0 - image), entropy(image))


def test_levels_beyond_the_range_are_cut_off() -> None:
    image = torch.tensor([-300.0, 0.4, 254.6, 256.0]).view(1, 1, 2, 2)
    assert entropy(image).tolist() == [1.0]


def test_a_copy_shares_its_entropy(images: list[Tensor]) -> None:
    image = images[0]
    torch.testing.assert_close(mutual_information(image, image), entropy(image) * NATS_PER_BIT)
    assert normalized_mutual_information(image, image).tolist() == pytest.approx([1.0, 1.0])


def test_relabelled_levels_share_everything(images: list[Tensor]) -> None:
    image = images[0]
    torch.testing.assert_close(mutual_information(image, 255.0 - image), mutual_information(image, image))
    assert normalized_mutual_information(image, 255.0 - image).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("side", range(2, 16))
def test_independent_images_share_nothing_and_never_less(side: int) -> None:
    rows = torch.arange(side, dtype=torch.float64).repeat(side, 1)[None, None]
    columns = rows.transpose(2, 3)
    for measure in PAIRWISE:
        assert 0.0 <= measure(rows, columns).item() < 1e-12


@pytest.mark.parametrize("measure", PAIRWISE)
def test_exchange_changes_nothing(images: list[Tensor], measure: Callable[[Tensor, Tensor], Tensor]) -> None:
    torch.testing.assert_close(measure(images[0], images[1]), measure(images[1], images[0]))


def test_normalization_favors_neither(images: list[Tensor]) -> None:
    """What is shared is divided by the mean of the two entropies."""
    source, _, fused = images
    total = (entropy(source) + entropy(fused)) * NATS_PER_BIT
    torch.testing.assert_close(
        normalized_mutual_information(source, fused) * total, 2.0 * mutual_information(source, fused)
    )


def test_blank_images_share_nothing(images: list[Tensor]) -> None:
    source, _, fused = images
    source[0] = 7.0
    assert entropy(source)[0] == 0.0
    assert mutual_information(source, fused)[0].item() == pytest.approx(0.0, abs=1e-12)
    assert normalized_mutual_information(source, fused)[0].item() == pytest.approx(0.0, abs=1e-12)
    assert torch.isnan(normalized_mutual_information(source, source)).tolist() == [True, False]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_broken_image_has_no_value(images: list[Tensor], value: float) -> None:
    source, _, fused = images
    source[0, 0, 3, 3] = value
    assert torch.isnan(entropy(source)).tolist() == [True, False]
    for measure in PAIRWISE:
        assert torch.isnan(measure(source, fused)).tolist() == [True, False]
        assert torch.isnan(measure(fused, source)).tolist() == [True, False]


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    source, _, fused = images
    for i in range(2):
        one = slice(i, i + 1)
        assert entropy(source)[i] == entropy(source[one])[0]
        for measure in PAIRWISE:
            assert measure(source, fused)[i] == measure(source[one], fused[one])[0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_whole_levels_of_any_type_agree(images: list[Tensor], dtype: torch.dtype) -> None:
    source, _, fused = images
    found = mutual_information(source.to(dtype), fused.to(dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, mutual_information(source, fused).float())


def test_a_volume_is_one_image(volumes: list[Tensor]) -> None:
    source, fused = volumes
    flat = [volume.reshape(2, 1, 8, 90) for volume in volumes]
    torch.testing.assert_close(entropy(source), entropy(flat[0]))
    torch.testing.assert_close(mutual_information(source, fused), mutual_information(*flat))
