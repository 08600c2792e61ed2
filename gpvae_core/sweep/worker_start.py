"""Start-up code that Dask runs in each local worker process."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Ignore SIGINT: Ctrl-C reaches every process of the terminal, but the sweep asks workers to save and stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
