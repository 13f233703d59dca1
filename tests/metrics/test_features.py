"""Laws of the feature mutual information."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from medfuse.errors import OptionError
from medfuse.metrics import feature_mutual_information, features


def test_a_copy_tells_everything(images: list[Tensor]) -> None:
    for fused in (images[0], 255.0 - images[0], 0.2 * images[0] + 30.0):
        assert feature_mutual_information(images[0], fused).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_a_blank_image_tells_nothing(images: list[Tensor]) -> None:
    blank = torch.full_like(images[0], 20.0)
    assert feature_mutual_information(images[0], blank).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert torch.isnan(feature_mutual_information(blank, images[0])).all()


def test_less_of_the_source_is_less(images: list[Tensor]) -> None:
    source, other, _ = images
    shares = [1.0, 0.9, 0.7, 0.4]
    values = [feature_mutual_information(source, share * source + (1.0 - share) * other) for share in shares]
    for more, less in pairwise(values):
        assert (more > less).all()


def test_exchange_changes_nothing_where_both_have_features(images: list[Tensor]) -> None:
    first, second, _ = images
    torch.testing.assert_close(
        feature_mutual_information(first, second), feature_mutual_information(second, first), atol=1e-5, rtol=0.0
    )


def test_the_joint_distribution_has_the_marginals() -> None:
    p, q = torch.rand(2, 9, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = p / p.sum(dim=0), q / q.sum(dim=0)
    correlation = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64)
    joint = features._joint(p, q, correlation).view(9, 9, 50)
    torch.testing.assert_close(joint.sum(dim=1), p)
    torch.testing.assert_close(joint.sum(dim=0), q)
    place = torch.arange(9.0, dtype=torch.float64)
    mean_p, mean_q = place @ p, place @ q
    covariance = torch.einsum("ijn,i,j->n", joint, place, place) - mean_p * mean_q
    spread = ((place**2 @ p - mean_p**2) * (place**2 @ q - mean_q**2)).sqrt()
    within = correlation.abs() < 0.7  # the marginals do not allow every correlation
    torch.testing.assert_close((covariance / spread)[within], correlation[within])


def test_float32_agrees_with_float64(images: list[Tensor]) -> None:
    single = feature_mutual_information(images[0].float(), images[2].float())
    assert single.dtype == torch.float32
    double = feature_mutual_information(images[0], images[2])
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=0.0)


def test_each_image_of_a_batch_is_judged_alone(images: list[Tensor]) -> None:
    alone = [feature_mutual_information(images[0][i : i + 1], images[1][i : i + 1]).item() for i in range(2)]
    assert alone[0] != alone[1]
    assert feature_mutual_information(images[0], images[1]).tolist() == pytest.approx(alone, abs=1e-6)


def test_volumes_are_refused(volumes: list[Tensor]) -> None:
    with pytest.raises(OptionError, match="feature mutual information is defined for images"):
        feature_mutual_information(*volumes)
    assert not math.isnan(feature_mutual_information(*(volume[..., 0] for volume in volumes))[0])
