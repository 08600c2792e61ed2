"""Memory that a training step frees is kept for the next one.

By default glibc's allocator returns a large block to the system as soon as it is freed. Each step of a convolutional
network on 28x28 images then asks for its activations anew, up to 12,000 page faults, of which the system clears every
page: a fifth of the step's time.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3), as numbered in glibc's malloc.h."""
KEPT = 256 * 2**20
"""Bytes of freed memory at the end of the heap from which on it is returned to the system."""
LARGEST_ON_HEAP = 32 * 2**20
"""Bytes up to which a block is taken from the heap: the most that glibc accepts."""


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB of freed memory; with another C library this does nothing."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_MMAP_THRESHOLD, LARGEST_ON_HEAP)
