"""The Explorer in its own process, started as by `gpvae explore`, for benches that measure it in a browser."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from gpvae_core.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str:
    """Return the path of the system's Chromium. Raises UserError if there is none."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        raise UserError(f"this bench needs a Chromium: none of {', '.join(BROWSERS)} is installed")
    return browser


def free_port() -> int:
    """Return a free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served(NamedTuple):
    """A running server: its address, the time at which it was started (`time.perf_counter`), and its process."""

    url: str
    started: float
    pid: int


@contextmanager
def explorer(folder: Path, *runs: str) -> Iterator[Served]:
    """Serve the runs (by default those in `folder`/runs) until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "gpvae_core.cli", "explore", *runs, "--no-open", "--port", str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/"
        _wait(url, process)
        yield Served(url, started, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Wait until the page answers. Raises UserError if the process ends or does not answer in time."""
    deadline = time.perf_counter() + timeout_s
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise UserError(f"the Explorer ended at its start with exit code {process.returncode}")
        try:
            with urlopen(url, timeout=10):
                return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    raise UserError(f"the Explorer did not answer at {url} within {timeout_s:g} s")
