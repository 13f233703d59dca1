"""Random heads on one grid: repeatable, of one anatomy, each with contrasts of its own."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from medfuse.errors import OptionError
from medfuse.phantom.stack import StackOptions, make_stack

COARSE = StackOptions(seed=3, side=64, slices=5, step_mm=3.0)


@pytest.fixture(scope="module")
def stack() -> dict[str, MetaTensor]:
    return make_stack(COARSE)


def test_all_modalities_lie_on_one_grid(stack: dict[str, MetaTensor]) -> None:
    assert list(stack) == ["MR", "CT", "PT", "NM"]
    for modality, volume in stack.items():
        assert volume.shape == (1, 64, 64, 5)
        assert volume.dtype == torch.float32
        assert volume.meta["modality"] == modality
        assert torch.equal(volume.affine, stack["MR"].affine)
        assert torch.isfinite(volume.as_tensor()).all()
    assert {modality: volume.meta["units"] for modality, volume in stack.items()} == {
        "MR": "arbitrary",
        "CT": "HU",
        "PT": "SUV",
        "NM": "counts",
    }


def test_heads_fill_the_middle_and_leave_the_border(stack: dict[str, MetaTensor]) -> None:
    middle = stack["CT"].as_tensor()[0, :, :, 2]
    assert middle[0, :].max() < -500.0  # air, HU
    assert middle[24:40, 24:40].mean() > -100.0
    assert middle.max() > 500.0  # bone


def test_modalities_show_the_same_head(stack: dict[str, MetaTensor]) -> None:
    head = stack["CT"].as_tensor() > -300.0
    bright = stack["MR"].as_tensor() > 0.2 * torch.quantile(stack["MR"].as_tensor(), 0.99)
    assert (head & bright).sum() > 0.8 * bright.sum()


def test_equal_options_give_equal_heads(stack: dict[str, MetaTensor]) -> None:
    again, other = make_stack(COARSE), make_stack(StackOptions(seed=4, side=64, slices=5, step_mm=3.0))
    for modality, volume in stack.items():
        assert torch.equal(volume.as_tensor(), again[modality].as_tensor())
        assert not torch.equal(volume.as_tensor(), other[modality].as_tensor())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"seed": -1}, "seed is -1; give a whole number of at least 0"),
        ({"side": 31}, "side is 31; give a whole number of at least 32"),
        ({"slices": 0}, "slices is 0"),
        ({"step_mm": 0.5}, r"step_mm is 0.5; give 0.8 to 4"),
    ],
)
def test_impossible_options_are_refused(values: dict[str, float], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        StackOptions(**values)
