"""Training: named recipes, kept as data in ``configs/training.json``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from medfuse.configs import read_config
from medfuse.errors import OptionError
from medfuse.networks import CDDFuseConfig
from medfuse.options import check_choice
from medfuse.training.options import StageOneWeights, StageTwoWeights, TrainingOptions

_T = TypeVar("_T")

_GROUPS: dict[str, type[Any]] = {"network": CDDFuseConfig, "stage_one": StageOneWeights, "stage_two": StageTwoWeights}


def training_options(preset: str, **overrides: Any) -> TrainingOptions:
    """Return the options of a preset.

    Args:
        preset: name of an entry of ``configs/training.json``.
        **overrides: attributes of ``TrainingOptions`` that replace the preset's.

    Raises:
        OptionError: if there is no such preset, or it or the overrides hold an unknown or impossible value.
    """
    presets = read_config("training")
    check_choice("preset", preset, tuple(presets))
    return options_from({**presets[preset], **overrides}, f"preset {preset!r}")


def options_from(values: dict[str, Any], source: str) -> TrainingOptions:
    """Return the options that a mapping, such as one read from JSON, describes.

    Args:
        values: attributes of ``TrainingOptions``; ``network``, ``stage_one`` and ``stage_two`` are mappings.
        source: what to call it in the message.

    Raises:
        OptionError: if a key is unknown or a value impossible.
    """
    groups = {key: _filled(_GROUPS[key], value, f"{source}, {key}") for key, value in values.items() if key in _GROUPS}
    return _filled(TrainingOptions, {**values, **groups}, source)


def _filled(kind: type[_T], values: Any, source: str) -> _T:
    if not isinstance(values, dict):
        msg = f"{source}: {values!r} is of the wrong kind; give keys with values"
        raise OptionError(msg)
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        check_choice(f"a key of {source}", key, tuple(allowed))
    try:
        return kind(**values)
    except TypeError as error:
        msg = f"{source}: a value is of the wrong kind ({error})"
        raise OptionError(msg) from None
