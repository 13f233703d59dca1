"""CT values come back to Hounsfield units from the scales that files store them on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfuse.phantom import Phantom
from medfuse.transforms.ct_units import CORMACK, HOUNSFIELD, UNSIGNED, ct_units, to_hounsfield


def cormack(hu: np.ndarray) -> np.ndarray:
    """Apply the formula of Rorden et al. 2012: air at 0, and -100 to 100 HU stretched by ten more units for each."""
    above_air = hu + 1000.0
    return above_air + 10.0 * np.clip(above_air - 900.0, 0.0, 200.0)


FORWARD = {HOUNSFIELD: lambda hu: hu, UNSIGNED: lambda hu: hu + 1000.0, CORMACK: cormack}


@given(st.lists(st.floats(-1000, 3000), min_size=1), st.sampled_from(sorted(FORWARD)))
def test_to_hounsfield_inverts_how_it_was_stored(hu: list[float], units: str) -> None:
    stored = np.float32(FORWARD[units](np.array(hu)))
    np.testing.assert_allclose(to_hounsfield(stored, units), hu, atol=2e-3)


@pytest.mark.parametrize("units", sorted(FORWARD))
def test_the_scale_of_a_head_is_recognized(phantom_small: Phantom, units: str) -> None:
    hu = phantom_small.volumes["CT"].numpy().clip(-1000)
    stored = np.float32(FORWARD[units](hu))
    assert ct_units(stored) == units
    np.testing.assert_allclose(to_hounsfield(stored, units), hu, atol=2e-3)


def test_a_head_cropped_to_where_no_air_is_stays_in_hounsfield_units(phantom_small: Phantom) -> None:
    hu, labels = phantom_small.volumes["CT"].numpy()[0], phantom_small.labels["CT"].numpy()[0]
    head = hu[(labels > 0) & (hu > -150)]
    assert head.max() > 900
    assert ct_units(head) == HOUNSFIELD


def test_a_brain_without_skull_is_in_hounsfield_units() -> None:
    assert ct_units(np.float32([0, 10, 40, 80])) == HOUNSFIELD
