"""Keeping freed memory: a setting of the C library, so its effect is seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from medfuse.inferers.allocator import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(16 << 20)
before = faults()
for _ in range(20):
    torch.ones(16 << 20)
print(faults() - before)
"""  # 64 MiB: more than the C library keeps of itself


def page_faults(choice: str) -> int:
    run = subprocess.run([sys.executable, "-c", PROGRAM, choice], capture_output=True, text=True, check=False)
    if run.returncode == 3:
        pytest.skip("the C library of this system is not GNU's")
    return int(run.stdout)


def test_blocks_that_are_kept_are_not_fetched_from_the_system_again() -> None:
    assert page_faults("keep") < page_faults("give back") / 10
