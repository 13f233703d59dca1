"""The script that compares forms on a GPU, run on a CPU: it has to be ready where a GPU is at hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "bench_gpu.py"
SMALL = {"size": 24, "slices": 1, "repeats": 1, "patches": 1, "side": 16, "volume": 2, "copied-mib": 4, "matrix": 64}
ROW = re.compile(r"^\| (.+?, \w+) \| .+? \| .+? \| (\S+)", re.MULTILINE)


def test_prints_errors_shares_a_volume_and_training() -> None:
    forms = ("--form", "medfuse, float32", "medfuse, bfloat16")
    small = [part for name, number in SMALL.items() for part in (f"--{name}", str(number))]
    command = [sys.executable, str(SCRIPT), "--device", "cpu", *small, *forms]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    compared, trained = (dict(ROW.findall(part)) for part in printed.split("forward and backward"))
    assert float(compared["plain, float32"]) == 0.0
    assert float(compared["medfuse, float32"]) < 1e-4
    assert 1e-5 < float(compared["medfuse, bfloat16"]) < 0.1
    assert set(trained) == {"plain, float32", "medfuse, bfloat16", "recomputed, bfloat16"}
    assert len(re.findall(r"G(?:FLOP|B)/s measured, \d+%", printed)) == 2
    assert re.search(r"^2 slices by .+, from memory and back: \d", printed, re.MULTILINE)
