"""The kernels for 64-bit ARM, compiled across and run in an emulator, give the numbers of those for AVX2."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from skipping import skip_or_fail

from medfuse.networks.native import library

_FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-pthread", "-static")
_ARM, _EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64-static"


def values(compiler: str, *flags: str, folder: Path, emulator: tuple[str, ...] = ()) -> np.ndarray:
    """Return all that the kernels give, compiled in one of the ways."""
    program = folder / compiler
    sources = [Path(__file__).with_name("kernel_values.cpp"), *sorted(library._FOLDER.glob("*.cpp"))]
    subprocess.run([compiler, *_FLAGS, *flags, *map(str, sources), "-o", str(program)], check=True)
    done = subprocess.run([*emulator, str(program)], check=True, capture_output=True)
    return np.frombuffer(done.stdout, dtype=np.float64)


def test_arm_gives_what_avx2_gives(tmp_path: Path) -> None:
    if platform.machine() != "x86_64" or torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("what is compared with needs AVX2")
    missing = [name for name in ("g++", _ARM, _EMULATOR) if shutil.which(name) is None]
    if missing:
        skip_or_fail(f"not installed: {', '.join(missing)}")
    here = values("g++", "-mavx2", "-mfma", folder=tmp_path)
    there = values(_ARM, folder=tmp_path, emulator=(_EMULATOR,))
    assert len(here) > 2_000_000
    assert np.isfinite(here).all()
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-5 * np.abs(here).mean())
