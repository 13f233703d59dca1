"""Step 5 of 8, network: let the C library keep the memory that one layer frees for the next."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST_KEPT_BYTES = 1 << 30
_NEVER_TRIM = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Ask the GNU C library to reuse large freed blocks instead of giving them back to the system.

    A network frees and takes the same large blocks layer after layer; fresh ones have to be zeroed page by page by the
    system first. The setting holds for the whole process and can be made any number of times.

    Returns:
        Whether the setting was made: not on other systems than Linux with the GNU C library.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM))
