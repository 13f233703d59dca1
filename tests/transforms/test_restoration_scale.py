"""The scale of a restorer: found by rule, undone exactly, and blind to what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from made_volumes import cloud
from scipy.ndimage import uniform_filter

from medfuse.errors import IntensityError
from medfuse.transforms.ct_units import CORMACK, HOUNSFIELD, UNSIGNED, from_hounsfield, to_hounsfield
from medfuse.transforms.restoration_scale import CT_WINDOW_HU, RestorationScale, restoration_scale


def head(seed: int = 0) -> np.ndarray:
    """Return air, soft tissue with noise, and bone, in HU."""
    values = np.full((24, 20, 16), -1000.0, np.float32)
    values[4:20, 4:16] = 1200.0
    values[7:17, 7:13] = 40.0
    noise = np.random.default_rng(seed).normal(0.0, 15.0, values.shape)
    return (values + noise * (values == 40.0)).astype(np.float32)


def test_no_change_gives_the_values_bit_for_bit() -> None:
    for values, modality in ((head(), "CT"), (head() + 1000.0, "CT"), (cloud(), "MR"), (cloud(top=1e5), "PT")):
        scale = restoration_scale(values, modality)
        assert np.array_equal(scale.undo(values, np.zeros_like(values)), values)


def test_ct_is_seen_through_one_window_of_soft_tissue() -> None:
    scale = restoration_scale(head(), "CT")
    seen, inside = scale.apply(head())
    assert (scale.lower, scale.upper) == CT_WINDOW_HU
    assert seen[12, 10, 8] == pytest.approx((head()[12, 10, 8] + 50.0) / 200.0)
    assert inside[12, 10, 8]
    assert (seen[0, 0, 0], seen[5, 10, 8]) == (0.0, 1.0)  # air and bone
    assert not inside[0, 0, 0]
    assert not inside[5, 10, 8]


def test_noise_beyond_the_window_is_seen_where_the_tissue_is_within() -> None:
    values = head()
    values[12, 10, 8] = 190.0
    seen, inside = restoration_scale(values, "CT").apply(values)
    assert inside[12, 10, 8]
    assert seen[12, 10, 8] == pytest.approx(1.2)


def test_a_change_of_ct_is_in_hu_however_it_is_stored() -> None:
    change = np.full(head().shape, 0.05, np.float32)
    for stored_as in (HOUNSFIELD, UNSIGNED, CORMACK):
        scale = RestorationScale(*CT_WINDOW_HU, signed=True, stored_as=stored_as)
        values = from_hounsfield(head(), stored_as)
        back = to_hounsfield(scale.undo(values, change), stored_as)
        assert np.allclose(back - head(), 10.0, atol=2e-3)


def test_other_volumes_go_from_0_to_the_brightest_neighborhood() -> None:
    values = cloud(top=300.0)
    scale = restoration_scale(values, "PT")
    assert (scale.lower, scale.upper) == (0.0, float(uniform_filter(values, 3, mode="nearest").max()))
    seen, inside = scale.apply(values)
    assert inside.all()
    assert np.allclose(seen * scale.upper, values, rtol=1e-5)
    spike = values.copy()
    spike[3, 3, 3] = 900.0
    assert restoration_scale(spike, "PT").upper < 400.0


def test_the_scale_follows_the_units() -> None:
    once, twice = (restoration_scale(factor * cloud(), "NM").apply(factor * cloud())[0] for factor in (1.0, 37.0))
    assert np.allclose(once, twice, rtol=1e-4)


def test_counts_do_not_become_negative() -> None:
    values = cloud(top=10.0)
    scale = restoration_scale(values, "PT")
    lowered = scale.undo(values, np.full_like(values, -0.5))
    assert lowered.min() == 0.0
    assert np.allclose(lowered[values > 6.0], values[values > 6.0] - 0.5 * scale.upper, rtol=1e-4)


def test_hounsfield_units_come_back() -> None:
    hu = np.linspace(-1000.0, 2000.0, 301, dtype=np.float32)
    for stored_as in (HOUNSFIELD, UNSIGNED, CORMACK):
        assert np.allclose(to_hounsfield(from_hounsfield(hu, stored_as), stored_as), hu, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_volume_of_nothing_is_refused(value: float) -> None:
    with pytest.raises(IntensityError, match="the PT volume has nothing above 0"):
        restoration_scale(np.full((8, 8, 8), value, np.float32), "PT")
