"""Peaks of memory: what was held in a while, and never less than what is held."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from medfuse.memory import begin_peak, highest_mib, peak_since_mib

_MIB = 1 << 20


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a peak begin anew")
def test_a_peak_counts_from_its_beginning_and_the_highest_from_the_start() -> None:
    begin_peak()
    before = peak_since_mib()
    np.ones(200 * _MIB, dtype=np.uint8)
    with_it = peak_since_mib()
    assert with_it > before + 150
    begin_peak()
    after = peak_since_mib()
    assert after < with_it - 150
    assert highest_mib() >= with_it
