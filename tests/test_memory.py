"""Peaks of memory: what was held in a while, and never less than what is held."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

IN_A_PROCESS_OF_ITS_OWN = """
import json
import numpy as np
from medfuse.memory import begin_peak, highest_mib, peak_since_mib

begin_peak()
before = peak_since_mib()
np.ones(200 << 20, dtype=np.uint8)  # let go of at once
with_it = peak_since_mib()
begin_peak()
print(json.dumps([before, with_it, peak_since_mib(), highest_mib()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a peak begin anew")
def test_a_peak_counts_from_its_beginning_and_the_highest_from_the_start() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN], capture_output=True, check=True, text=True)
    before, with_it, after, highest = json.loads(done.stdout)
    assert with_it > before + 150
    assert after < with_it - 150
    assert highest >= with_it
