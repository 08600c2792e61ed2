"""How the C library keeps freed memory: all of it for the next training step, little of it in a server's threads."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3), as numbered in glibc's malloc.h."""
KEPT = 256 * 2**20
"""Bytes of freed memory at the end of the heap from which on it is returned to the system."""
LARGEST_ON_HEAP = 32 * 2**20
"""Bytes up to which a block is taken from the heap: the most that glibc accepts."""


ARENAS = 2
"""Number of heaps that the threads of a server share."""


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB of freed memory; with another C library this does nothing.

    By default it returns a large block to the system as soon as it is freed. Each step of a convolutional network on
    28x28 images then asks for its activations anew, up to 12,000 page faults, of which the system clears every page: a
    fifth of the step's time.
    """
    _set(M_TRIM_THRESHOLD, KEPT)
    _set(M_MMAP_THRESHOLD, LARGEST_ON_HEAP)


def share_heaps() -> None:
    """Let the threads that start from now on share glibc's heaps; with another C library this does nothing.

    By default there are up to eight heaps a core, one for each thread, and each keeps what it once held.
    """
    _set(M_ARENA_MAX, ARENAS)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(parameter, value)
