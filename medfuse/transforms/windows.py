"""Intensity windows: which values become black and which white, chosen by modality and never by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medfuse.configs import read_config
from medfuse.errors import IntensityError, OptionError
from medfuse.transforms.ct_units import HOUNSFIELD, FloatArray, ct_units, to_hounsfield

_WINDOWS = read_config("windows")


@dataclass(frozen=True)
class IntensityWindow:
    """The linear map of a whole volume to [0, 1].

    Attributes:
        lower: value that becomes 0.
        upper: value that becomes 1.
        units: what the two are measured in: ``"HU"``, ``"SUV"`` or ``"stored values"``.
        source: how the window was chosen, for the report.
    """

    lower: float
    upper: float
    units: str
    source: str


def choose_window(
    values: FloatArray, modality: str, choice: str = "auto", units: str = ""
) -> IntensityWindow:
    """Choose the window of a volume.

    Args:
        values: all values of the volume, on the file's own scale.
        modality: ``"MR"``, ``"CT"``, ``"PT"`` or ``"NM"``.
        choice: ``"auto"``, the name of a preset of that modality, or ``"LOW,HIGH"`` in the file's own units.
        units: the units that the file states, if any; ``"SUV"`` matters for PT.

    Raises:
        OptionError: if there is no such preset, or the two numbers are not in order.
        IntensityError: if the chosen percentiles coincide.
    """
    if "," in choice:
        lower, upper = _parse_limits(choice)
        return IntensityWindow(lower, upper, "stored values", "given")
    presets: Mapping[str, Any] = _WINDOWS[modality]["presets"]
    if choice == "auto":
        return _automatic_window(values, modality, units)
    if choice not in presets:
        msg = f"there is no {modality} window named {choice!r}; choose auto, LOW,HIGH or one of {', '.join(presets)}"
        raise OptionError(msg)
    preset = presets[choice]
    if "limits" in preset:
        lower, upper = preset["limits"]
        return IntensityWindow(lower, upper, {"CT": HOUNSFIELD, "PT": "SUV"}[modality], f"preset {choice}")
    return _percentile_window(values, preset["percentiles"], f"preset {choice}")


def apply_window(values: FloatArray, window: IntensityWindow) -> FloatArray:
    """Map a volume to [0, 1] through a window.

    Args:
        values: on the file's own scale.
        window: what becomes 0 and 1; one in HU is applied after the values are brought to HU.

    Returns:
        float32 in [0, 1], same shape.
    """
    if window.units == HOUNSFIELD:
        values = to_hounsfield(values, ct_units(values))
    scaled = (values - np.float32(window.lower)) / np.float32(window.upper - window.lower)
    return np.clip(scaled, 0.0, 1.0, dtype=np.float32)


def _automatic_window(values: FloatArray, modality: str, units: str) -> IntensityWindow:
    rule: Mapping[str, Any] = _WINDOWS[modality]["auto"]
    if modality == "CT":
        return _automatic_ct_window(values, rule)
    if modality == "PT" and units == "SUV":
        return _automatic_suv_window(values, rule)
    low, high = rule["percentiles"]
    return _percentile_window(values, rule["percentiles"], f"percentiles {low:g} and {high:g}")


def _automatic_ct_window(values: FloatArray, rule: Mapping[str, Any]) -> IntensityWindow:
    scale = ct_units(values)
    bone = float((to_hounsfield(values, scale) > rule["bone_hu"]).mean())
    name = rule["with_bone"] if bone > rule["bone_fraction"] else rule["without_bone"]
    lower, upper = _WINDOWS["CT"]["presets"][name]["limits"]
    stored = "" if scale == HOUNSFIELD else f", values stored as {scale}"
    return IntensityWindow(
        lower, upper, HOUNSFIELD, f"preset {name} (bone in {bone:.1%} of the voxels{stored})"
    )


def _automatic_suv_window(values: FloatArray, rule: Mapping[str, Any]) -> IntensityWindow:
    """Take the smallest round SUV that nearly all voxels stay under, so that two patients compare."""
    hottest = float(np.percentile(values, rule["percentiles"][1]))
    upper = next((suv for suv in rule["round_suv"] if suv >= hottest), hottest)
    return IntensityWindow(0.0, upper, "SUV", f"round SUV above percentile {rule['percentiles'][1]:g}")


def _percentile_window(values: FloatArray, percentiles: tuple[float, float], source: str) -> IntensityWindow:
    lower, upper = (float(value) for value in np.percentile(values, percentiles))
    if not upper > lower:
        low, high = percentiles
        msg = f"percentiles {low:g} and {high:g} of the volume coincide at {lower:g}; give a window LOW,HIGH"
        raise IntensityError(msg)
    return IntensityWindow(lower, upper, "stored values", source)


def _parse_limits(choice: str) -> tuple[float, float]:
    try:
        lower, upper = (float(part) for part in choice.split(","))
    except ValueError:
        msg = f"window {choice!r} is not two numbers; write LOW,HIGH such as 0,80"
        raise OptionError(msg) from None
    if not (np.isfinite([lower, upper]).all() and lower < upper):
        msg = f"window {choice!r} is not a rising pair of finite numbers; write LOW,HIGH such as 0,80"
        raise OptionError(msg)
    return lower, upper
