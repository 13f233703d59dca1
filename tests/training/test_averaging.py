"""The moving average of the weights: it follows, forgets the beginning, and is what a run saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from medfuse.networks import build
from medfuse.training import TrainingOptions, train
from medfuse.training.averaging import moving_average


def followed(weights: list[float], decay: float) -> float:
    """Return the average after a weight has taken some values."""
    network = nn.Linear(1, 1, bias=False)
    average = moving_average(network, decay)
    for weight in weights:
        nn.init.constant_(network.weight, weight)
        average.update_parameters(network)
    value: float = average.module.weight.item()
    return value


def test_a_constant_weight_is_its_own_average() -> None:
    assert followed([3.0] * 5, 0.999) == pytest.approx(3.0)


def test_late_steps_are_averaged_with_the_decay() -> None:
    settled = [1.0] * 200
    assert followed([*settled, 2.0], 0.9) == pytest.approx(1.1, rel=1e-4)
    assert followed([*settled, 2.0, 2.0], 0.9) == pytest.approx(1.19, rel=1e-4)


def test_the_beginning_is_soon_forgotten() -> None:
    assert followed([100.0] + [1.0] * 60, 0.9999) == pytest.approx(1.0, abs=0.05)


def test_a_run_saves_the_average(slices: Path, tmp_path: Path, tiny: TrainingOptions) -> None:
    states = []
    for decay in (0.0, 0.5):
        path = tmp_path / f"{decay}.safetensors"
        train(slices, path, replace(tiny, stage_one_steps=0, ema_decay=decay), "")
        states.append(build("cddfuse", path).state_dict())
    last, averaged = states
    assert not all(torch.equal(last[name], averaged[name]) for name in last)
    assert all(torch.allclose(last[name], averaged[name], atol=0.02) for name in last)
