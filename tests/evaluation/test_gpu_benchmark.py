"""The script that compares forms on a GPU, run on a CPU: it has to be ready where a GPU is at hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "bench_gpu.py"
SMALL = ("--size", "24", "--slices", "1", "--repeats", "1", "--patches", "1", "--copied-mib", "4", "--matrix", "64")


def test_prints_errors_shares_a_volume_and_training() -> None:
    forms = ("--form", "medfuse, float32", "medfuse, bfloat16")
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *SMALL, *forms]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    rows = {
        name: cells for name, *cells in re.findall(r"^\| (.+?, \w+) \| (.+?) \| (.+?) \| (\S+)", printed, re.MULTILINE)
    }
    assert rows["plain, float32"][2] == "0.0e+00"
    assert float(rows["medfuse, float32"][2]) < 1e-4
    assert 1e-5 < float(rows["medfuse, bfloat16"][2]) < 0.1
    assert set(rows) >= {"recomputed, bfloat16"}
    assert len(re.findall(r"G(?:FLOP|B)/s measured, \d+%", printed)) == 2
    assert re.search(r"^150 slices by .+, from memory and back: \d", printed, re.MULTILINE)
