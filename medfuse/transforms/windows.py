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
        stored_as: for a window in HU, the scale of ``ct_units`` that the stored values are on. It is found in the whole
            scan: a part of it, such as what is left after resampling, may hold no air to tell it by.
    """

    lower: float
    upper: float
    units: str
    source: str
    stored_as: str = HOUNSFIELD


def choose_window(values: FloatArray, modality: str, choice: str = "auto", units: str = "") -> IntensityWindow:
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
    check_window(choice, modality)
    if "," in choice:
        lower, upper = _parse_limits(choice)
        return IntensityWindow(lower, upper, "stored values", "given")
    if choice == "auto":
        return _automatic_window(values, modality, units)
    preset = _WINDOWS[modality]["presets"][choice]
    if "limits" in preset:
        lower, upper = preset["limits"]
        if modality == "CT":
            return _hounsfield_window(lower, upper, f"preset {choice}", ct_units(values))
        return IntensityWindow(lower, upper, "SUV", f"preset {choice}")
    return _percentile_window(values, preset["percentiles"], f"preset {choice}")


def check_window(choice: str, modality: str) -> None:
    """Refuse a choice that no volume of the modality can be seen through; arguments as ``choose_window``.

    Raises:
        OptionError: if there is no such preset, or the two numbers are not in order.
    """
    presets: Mapping[str, Any] = _WINDOWS[modality]["presets"]
    if "," in choice:
        _parse_limits(choice)
    elif choice != "auto" and choice not in presets:
        msg = f"there is no {modality} window named {choice!r}; choose auto, LOW,HIGH or one of {', '.join(presets)}"
        raise OptionError(msg)


def apply_window(values: FloatArray, window: IntensityWindow) -> FloatArray:
    """Map a volume to [0, 1] through a window.

    Args:
        values: on the file's own scale.
        window: what becomes 0 and 1; for one in HU the values are brought to HU first.

    Returns:
        float32 in [0, 1], same shape.
    """
    if window.units == HOUNSFIELD:
        values = to_hounsfield(values, window.stored_as)
    scaled = (values - np.float32(window.lower)) / np.float32(window.upper - window.lower)
    return np.asarray(np.clip(scaled, 0.0, 1.0), dtype=np.float32)


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
    return _hounsfield_window(lower, upper, f"preset {name} (bone in {bone:.1%} of the voxels)", scale)


def _hounsfield_window(lower: float, upper: float, source: str, stored_as: str) -> IntensityWindow:
    stored = "" if stored_as == HOUNSFIELD else f", values stored as {stored_as}"
    return IntensityWindow(lower, upper, HOUNSFIELD, source + stored, stored_as)


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
