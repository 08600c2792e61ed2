"""Threads on a machine that does other work too: waiting threads soon sleep, and small work has a single one.

By default the threads of OpenMP spin while they wait for one another. Where another process runs on the same cores they
spin for the time slices in which that process runs: a training that takes seconds alone then takes minutes. Threads
that sleep at once make a step 18 to 30 % slower on a machine that does nothing else. A short spin keeps training fast
in both cases (docs/results.md); beside other work evaluation then takes 2.2 instead of 1.5 times as long as alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables by which a user chooses how threads wait."""
NUMBER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a user chooses the number of threads."""
SPINS = "10000"
"""How often a thread of GNU's OpenMP looks for work before it sleeps."""
_LOCK = threading.Lock()
_restricted, _unrestricted = 0, 1
"""How often torch is restricted to one thread now, and its number of threads before the first time."""
SMALL = 8e7
"""Multiplications of a training step below which a second thread makes it slower.

On two cores, with one and two threads: 1.5 and 1.9 ms for a VAE of 8x8 digits (2e7), 6.0 and 8.2 ms for a GP encoder of
them (5e7), 9.3 and 9.2 ms for fully connected networks of 128 units for 28x28 images (9e7), 190 and 72 ms for the
convolutional ones (1e9); the shortest of many steps in each case.
"""


def sleep_while_waiting() -> None:
    """Let threads that wait for others sleep after a short spin, unless the user chose how they wait.

    OpenMP reads the environment variable when torch is imported; set later it changes nothing.
    """
    if not any(name in os.environ for name in WAITING):
        os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": SPINS}


@contextmanager
def one_thread() -> Iterator[None]:
    """Restrict torch to one thread, as in a sweep's worker.

    Torch hands the number last set on to threads that begin later. So where several are restricted at once, each
    restores the number that stood before the first; a thread that first computes meanwhile keeps the single one.
    """
    global _restricted, _unrestricted
    import torch

    with _LOCK:
        if not _restricted:
            _unrestricted = torch.get_num_threads()
        _restricted += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _restricted -= 1
            torch.set_num_threads(_unrestricted)


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """Compute steps of so many multiplications with one thread if they are small, else with torch's number of threads.

    A number that the user chose stays, by an environment variable or by `torch.set_num_threads`.
    """
    if multiplications < SMALL and not is_chosen_by_user():
        with one_thread():
            yield
    else:
        yield


def is_chosen_by_user() -> bool:
    """Return whether the number of threads is not torch's own, which is that of the cores or, with two threads in each
    core, half of it."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return any(name in os.environ for name in NUMBER) or torch.get_num_threads() not in (cores, cores // 2)
