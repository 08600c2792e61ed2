"""The code that Dask runs in each local worker process as it starts."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ctrl-C reaches every process of a terminal; the sweep itself asks its workers to save and stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
