"""Keep freed memory in the process instead of giving it back to the system at every step."""

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_NEVER = 2**31 - 1  # bytes; the largest that mallopt takes


def keep_memory() -> None:
    """Ask glibc to keep large blocks; elsewhere, and where the user has set it, do nothing.

    By default glibc maps each block above a few megabytes anew and unmaps it when it is freed, so that every step
    of a training run faults its activations in again, page by page.
    """
    if not sys.platform.startswith("linux") or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _NEVER)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
