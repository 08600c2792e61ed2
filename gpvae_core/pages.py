"""The pages, opened from Python: the one module of the core, beside the command line, that starts them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

FIRST_PORT, PORTS_TRIED = 5006, 50


def explore(*runs: str | Path, port: int | None = None, open_browser: bool = True) -> None:
    """Serve the pages over some runs to this machine alone, until Ctrl-C.

    Args:
        runs: run folders, or folders of runs; by default `runs/`, or a default pair, which is trained first.
        port: by default 5006, or the next one that is free.
        open_browser: whether to open the Posterior Explorer.

    Raises:
        UserError: a folder without runs, a damaged run, a port in use.

    >>> import gpvae_core as gpvae
    >>> gpvae.explore("runs/digits-gp")  # doctest: +SKIP
    """
    # NOTE: torch reads it when it is imported. Threads of a training that wait by spinning would take the cores from
    # the page.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from dashboards.app import serve_runs  # panel is slow to import

    serve_runs([Path(run) for run in runs], port or free_port(), open_browser)


def free_port() -> int:
    """Return the first port from 5006 on that nobody listens at; 5006, which will be refused, where all are taken."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    return FIRST_PORT
