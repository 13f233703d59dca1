"""Training: named recipes, kept as data in ``configs/training.json``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from medfuse.configs import read_config
from medfuse.errors import OptionError
from medfuse.losses import Goal
from medfuse.options import check_choice
from medfuse.training.options import (
    CONFIGS,
    PatchSize,
    RestorationOptions,
    StageOneWeights,
    StageTwoWeights,
    TrainingOptions,
)

_T = TypeVar("_T")


def training_options(preset: str, **overrides: Any) -> TrainingOptions:
    """Return the options of a preset.

    Args:
        preset: name of an entry of ``configs/training.json``.
        **overrides: attributes of ``TrainingOptions`` that replace the preset's; of a group such as ``stage_two``, only
            those that are given.

    Raises:
        OptionError: if there is no such preset, or it or the overrides hold an unknown or impossible value.
    """
    presets = read_config("training")
    check_choice("preset", preset, tuple(presets))
    return options_from(_merged(presets[preset], overrides), f"preset {preset!r}")


def options_from(values: dict[str, Any], source: str) -> TrainingOptions:
    """Return the options that a mapping, such as one read from JSON, describes.

    Args:
        values: attributes of ``TrainingOptions``; ``network``, ``stage_one``, ``stage_two`` and ``restoration`` are
            mappings.
        source: what to call it in the message.

    Raises:
        OptionError: if a key is unknown or a value impossible.
    """
    architecture = values.get("architecture", "cddfuse")
    check_choice(f"architecture of {source}", architecture, tuple(CONFIGS))
    groups = {
        "network": _filled(CONFIGS[architecture], values.get("network", {}), f"{source}, network"),
        "stage_one": _filled(StageOneWeights, values.get("stage_one", {}), f"{source}, stage_one"),
        "stage_two": _stage_two(values.get("stage_two", {}), f"{source}, stage_two"),
        "restoration": _restoration(values.get("restoration", {}), f"{source}, restoration"),
    }
    return _filled(TrainingOptions, {**values, **groups}, source)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, group by group."""
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged


def _stage_two(values: Any, source: str) -> StageTwoWeights:
    if isinstance(values, dict) and isinstance(values.get("goals"), dict):
        goals = {name: _filled(Goal, goal, f"{source}, goal {name!r}") for name, goal in values["goals"].items()}
        values = {**values, "goals": goals}
    return _filled(StageTwoWeights, values, source)


def _restoration(values: Any, source: str) -> RestorationOptions:
    if isinstance(values, dict) and isinstance(values.get("sizes"), list):
        sizes = tuple(_filled(PatchSize, size, f"{source}, sizes") for size in values["sizes"])
        values = {**values, "sizes": sizes}
    return _filled(RestorationOptions, values, source)


def _filled(kind: type[_T], values: Any, source: str) -> _T:
    if not isinstance(values, dict):
        msg = f"{source}: {values!r} is of the wrong kind; give keys with values"
        raise OptionError(msg)
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        check_choice(f"a key of {source}", key, tuple(allowed))
    try:
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})
    except TypeError as error:
        msg = f"{source}: a value is of the wrong kind ({error})"
        raise OptionError(msg) from None
