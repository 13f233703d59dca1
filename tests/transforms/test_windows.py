"""Which values become black and white: by modality, for a whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_volumes import cloud

from medfuse.configs import read_config
from medfuse.errors import IntensityError, OptionError
from medfuse.transforms.windows import IntensityWindow, apply_window, check_window, choose_window

PRESETS = [
    (modality, name, preset)
    for modality, rules in read_config("windows").items()
    for name, preset in rules["presets"].items()
]


def head_in_hu(bone_fraction: float = 0.05) -> np.ndarray:
    """Return air, soft tissue and bone in HU."""
    values = np.full(20_000, -1000.0, dtype=np.float32)
    values[8_000:] = np.linspace(-90.0, 80.0, 12_000)
    values[20_000 - round(20_000 * bone_fraction) :] = 900.0
    return values


@pytest.mark.parametrize(
    ("modality", "name", "preset"), PRESETS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_preset_maps_its_limits_to_black_and_white(modality: str, name: str, preset: dict[str, list[float]]) -> None:
    values = head_in_hu() if modality == "CT" else cloud()
    window = choose_window(values, modality, name)
    lower, upper = preset.get("limits") or np.percentile(values, preset["percentiles"])
    assert (window.lower, window.upper) == (lower, upper)
    assert name in window.source
    ramp = np.array([lower - 1, lower, (lower + upper) / 2, upper, upper + 1], dtype=np.float32)
    np.testing.assert_allclose(apply_window(ramp, window), [0, 0, 0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize("modality", ["MR", "CT", "PT", "NM"])
def test_two_numbers_are_in_the_units_of_the_file(modality: str) -> None:
    window = choose_window(cloud(top=3000.0), modality, "-20,80.5")
    assert window == IntensityWindow(-20.0, 80.5, "stored values", "given")
    assert apply_window(np.float32([80.5]), window) == 1.0


def test_two_numbers_hold_for_an_unsigned_ct_as_it_is_stored() -> None:
    window = choose_window(head_in_hu() + 1000, "CT", "1000,1080")
    assert apply_window(np.float32([0, 1000, 1020, 1080, 1900]), window).tolist() == [0, 0, 0.25, 1, 1]


@pytest.mark.parametrize("modality", ["MR", "PT", "NM"])
def test_auto_takes_percentiles_of_the_whole_volume(modality: str) -> None:
    values = cloud()
    window = choose_window(values, modality)
    percentiles = read_config("windows")[modality]["auto"]["percentiles"]
    np.testing.assert_allclose([window.lower, window.upper], np.percentile(values, percentiles))
    assert window.units == "stored values"


@pytest.mark.parametrize(("bone_fraction", "name"), [(0.05, "head"), (0.0, "brain")])
def test_auto_shows_bone_where_there_is_some(bone_fraction: float, name: str) -> None:
    window = choose_window(head_in_hu(bone_fraction), "CT")
    assert [window.lower, window.upper] == read_config("windows")["CT"]["presets"][name]["limits"]
    assert window.units == "HU"


@pytest.mark.parametrize(("hottest", "upper"), [(0.5, 2.5), (2.5, 2.5), (2.6, 5.0), (12.0, 15.0), (80.0, 80.0)])
def test_auto_takes_a_round_suv(hottest: float, upper: float) -> None:
    values = np.zeros(1000, dtype=np.float32)
    values[:100] = hottest
    assert choose_window(values, "PT", units="SUV") == IntensityWindow(
        0.0, upper, "SUV", "round SUV above percentile 99.95"
    )


@pytest.mark.parametrize(
    ("choice", "modality"),
    [("brain", "MR"), ("suv_5", "CT"), ("Brain", "CT"), ("", "CT"), ("80", "MR"), ("full", "PT")],
)
def test_an_unknown_preset_is_refused_with_those_there_are(choice: str, modality: str) -> None:
    with pytest.raises(OptionError, match=rf"no {modality} window named .*choose auto, LOW,HIGH or one of \w+"):
        choose_window(cloud(), modality, choice)


@pytest.mark.parametrize("choice", ["a,b", ",", "1,2,3", "5,5", "9,1", "nan,1", "0,inf", "1e999,2", "0,"])
def test_limits_that_are_no_rising_pair_are_refused(choice: str) -> None:
    with pytest.raises(OptionError, match="write LOW,HIGH such as 0,80"):
        check_window(choice, "MR")


def test_percentiles_that_coincide_are_refused() -> None:
    values = np.zeros((30, 30, 30), dtype=np.float32)
    values[0, 0, 0] = 1.0
    with pytest.raises(IntensityError, match=r"coincide at 0; give a window LOW,HIGH"):
        choose_window(values, "NM")


@pytest.mark.parametrize("modality", ["MR", "CT", "PT", "NM"])
def test_no_slice_is_stretched_by_itself(modality: str) -> None:
    """A part of a volume looks alike through the volume's window, whether or not the rest is there."""
    values = cloud(top=2500.0) if modality == "CT" else cloud()
    window = choose_window(values, modality)
    whole = apply_window(values, window)
    for index in range(values.shape[2]):
        assert np.array_equal(apply_window(values[..., index], window), whole[..., index])


@pytest.mark.parametrize("stored", ["HU", "HU + 1000"])
def test_a_part_without_air_keeps_the_scale_of_its_scan(stored: str) -> None:
    values = head_in_hu() + (1000 if stored == "HU + 1000" else 0)
    window = choose_window(values, "CT")
    assert window.stored_as == stored
    no_air = values[8_000:]
    assert np.array_equal(apply_window(no_air, window), apply_window(values, window)[8_000:])


@given(st.lists(st.floats(-3000, 5000, width=32), min_size=2, max_size=30), st.sampled_from(PRESETS))
def test_brighter_values_never_become_darker(
    values: list[float], preset: tuple[str, str, dict[str, list[float]]]
) -> None:
    modality, name, _ = preset
    window = choose_window(cloud(top=2000.0) if modality != "CT" else head_in_hu(), modality, name)
    seen = apply_window(np.sort(np.float32(values)), window)
    assert seen.dtype == np.float32
    assert (np.diff(seen) >= 0).all()
    assert seen.min() >= 0.0
    assert seen.max() <= 1.0
