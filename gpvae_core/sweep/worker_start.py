"""Start-up code that Dask runs in each local worker process."""

from __future__ import annotations

import os
import signal
import threading

GRACE_SECONDS = 20.0
"""Time that SIGTERM leaves a worker to save its run: the sweep, which has the signal too, asks it to."""


def dask_setup(worker: object) -> None:
    """Leave it to the sweep to stop the worker, as signals may reach every process of a terminal or batch job.

    SIGINT is ignored. SIGTERM ends the worker after GRACE_SECONDS, so that it does not outlive its sweep either.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_soon)


def _end_soon(number: int, frame: object) -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, (128 + number,))
    timer.daemon = True
    timer.start()
