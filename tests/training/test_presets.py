"""Presets and options of training: read as data, refused where they make no sense."""

from __future__ import annotations

import pytest

from medfuse.configs import read_config
from medfuse.errors import OptionError
from medfuse.training import TrainingOptions, training_options
from medfuse.training.presets import options_from


@pytest.mark.parametrize("preset", list(read_config("training")))
def test_every_shipped_preset_is_valid(preset: str) -> None:
    options = training_options(preset)
    assert isinstance(options, TrainingOptions)
    assert options.stage_one_steps == read_config("training")[preset]["stage_one_steps"]


def test_groups_become_dataclasses() -> None:
    assert training_options("published").network.skip == "first"
    assert training_options("cddfuse_fast_cpu").stage_two.lost > 0.0


def test_overrides_go_before_the_preset() -> None:
    assert training_options("published", seed=5, stage_one_steps=1).seed == 5


def test_of_a_group_only_what_is_given_is_replaced() -> None:
    options = training_options("cddfuse_fast_cpu", stage_two={"lost": 0.25})
    assert options.stage_two.lost == 0.25
    assert options.stage_two.invented == training_options("cddfuse_fast_cpu").stage_two.invented > 0.0


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(OptionError, match=r"preset is 'fast'; choose one of cddfuse_fast_cpu, "):
        training_options("fast")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"steps": 3}, "'steps'; choose one of architecture, network, "),
        ({"network": {"depth": 3}}, "network is 'depth'; choose one of channels"),
        ({"stage_two": {"edges": 3.0}}, "stage_two is 'edges'"),
        ({"stage_one_steps": "many"}, "wrong kind"),
        ({"network": 3}, "wrong kind"),
        ({"precision": "int8"}, "choose one of float32, bfloat16"),
        ({"patch_size": 40}, "patch_size is 40; give a whole number of at least 41"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"bad_steps_allowed": -1}, "bad_steps_allowed is -1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0; give a whole number of at least 1"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0; give a number from 0 to below 1"),
        ({"validate_every": 0}, "validate_every is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; give a number above 0"),
        ({"clip_norm": float("nan")}, "clip_norm is nan"),
        ({"stage_one_steps": 0, "stage_two_steps": 0}, "both 0"),
        ({"network": {"skip": "both"}}, "skip is 'both'"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, object], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        options_from(values, "test")
