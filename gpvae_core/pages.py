"""Opening the pages from Python. Apart from the command line, only this module of the core imports them."""

from __future__ import annotations

import socket
from pathlib import Path

from gpvae_core.files import checked_path

FIRST_PORT, PORTS_TRIED = 5006, 50


def explore(*runs: str | Path, port: int | None = None, open_browser: bool = True) -> None:
    """Serve the pages for some runs on this machine, until Ctrl-C; other machines cannot connect.

    Args:
        runs: run folders, or folders that contain runs; by default `runs/`, or a default pair, which is trained first.
        port: by default 5006, or the next free port after it.
        open_browser: whether to open the Posterior Explorer in the browser.

    Raises:
        UserError: a folder contains no run, a run is damaged, or the port is in use.

    >>> import gpvae_core as gpvae
    >>> gpvae.explore("runs/digits-gp")  # doctest: +SKIP
    """
    paths = [checked_path(run) for run in runs]
    from dashboards.app import serve_runs  # panel is slow to import

    serve_runs(paths, port or free_port(), open_browser)


def free_port() -> int:
    """Return the first free port from 5006 on, or 5006 if none of PORTS_TRIED is free (serving then fails)."""
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    return FIRST_PORT
