"""How much memory this process has had, in all and since a moment."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"
_COUNTED_IN_A_MIB = 1 << 20 if sys.platform == "darwin" else 1 << 10  # macOS counts bytes, Linux KiB

_before = 0.0  # the highest of the peaks that were forgotten


def begin_peak() -> None:
    """Let ``peak_since_mib`` begin anew, where the system can: on Linux."""
    global _before
    _before = highest_mib()
    try:
        _CLEAR.write_text(_FORGET_PEAK, encoding="ascii")
    except OSError:  # not Linux, or not allowed: peaks go on from the start of the process
        return


def peak_since_mib() -> float:
    """Return the most memory that this process has held since ``begin_peak``, in MiB."""
    if _STATUS.exists():  # getrusage would also count what the process was started by
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _COUNTED_IN_A_MIB


def highest_mib() -> float:
    """Return the most memory that this process has ever held, in MiB."""
    return max(_before, peak_since_mib())
