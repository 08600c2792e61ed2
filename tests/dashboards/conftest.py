"""Tiny trained runs, and servers over them in processes of their own, whose logs must stay free of tracebacks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("server_for_tests.py")
EPOCHS = 4


@dataclass(frozen=True)
class Served:
    """A running server: its address, port, log and process."""

    url: str
    port: int
    log: Path
    process: subprocess.Popen[bytes]


class Clock(Protocol):
    """A page whose clock a test moves on."""

    def tick(self) -> None: ...


def wait_until(page: Clock, true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Let the page's clock go on until `true` is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
        page.tick()


def eventually(page: Any, read: Callable[[], T], wanted: T, seconds: float = 20.0) -> T:
    """What `read` returns once it is as wanted, or last; for what no expectation of playwright can say."""
    for _ in range(int(10 * seconds)):
        if (value := read()) == wanted:
            return value
        page.wait_for_timeout(100)
    return read()


def save_as(card: Any, kind: str) -> None:
    """Choose in a card's menu what its view is saved as."""
    card.get_by_role("button", name="Save").click()
    card.get_by_role("menuitem", name=kind, exact=True).click()


@pytest.fixture(autouse=True)
def no_work_is_left() -> Iterator[None]:
    """End the jobs of pages in this process, which would go on beside the tests after this one."""
    yield
    from dashboards.lab import jobs

    jobs.stop_jobs(30)
    jobs._ENDING.clear()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VAE, a GP encoder (d = 2) and a GP encoder with d = 4, all on the digits."""
    from gpvae_core.config import make_config
    from gpvae_core.data.base import DataConfig
    from gpvae_core.training import train

    root = tmp_path_factory.mktemp("runs")
    for name, method, d in (("deep-gp", "gp", 4), ("tiny-vae", "vae", 2), ("tiny-gp", "gp", 2)):
        settings = {"latent_dim": d, "train.epochs": EPOCHS, "train.lr": 2e-3}
        train(make_config(method, DataConfig(name="digits"), (1, 8, 8), settings), root / name, device="cpu")
    return root


def free_port() -> int:
    """A port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"the server did not answer: {log.read_text()}")


@contextmanager
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Yield what starts a server; at the end all are stopped, and a traceback in any log is a failure."""
    started: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start(*places: Path, cwd: Path | None = None, script: Path = SCRIPT, port: int | None = None) -> Served:
        port, log = port or free_port(), tmp_path_factory.mktemp("log") / "server.log"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with log.open("wb") as out:
            command = [sys.executable, str(script), str(port), *map(str, places)]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=cwd)
        started.append((process, log))
        served = Served(f"http://127.0.0.1:{port}/", port, log, process)
        _wait_for(served.url, process, log)
        return served

    yield start
    for process, _ in started:
        process.terminate()
    for process, log in started:
        process.wait(20)
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts the servers of a file's tests, which end with it: each needs memory and, with open pages, computes."""
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, runs: Path) -> Iterator[Served]:
    """A server over all tiny runs."""
    with servers(tmp_path_factory) as start:
        yield start(runs)


@pytest.fixture
def explorer_page(offline_page: Any, served: Served) -> Callable[[str], Any]:
    """Opens the page at a query and waits until all six views were painted and nothing is prepared any more."""
    from gpvae_core.bench.browser import wait_until_quiet

    def open_at(query: str = "?run=tiny-gp&with=tiny-vae") -> Any:
        offline_page.set_viewport_size({"width": 1440, "height": 900})
        offline_page.goto(served.url + query)
        wait_until_quiet(offline_page)
        offline_page.wait_for_function("() => location.search.includes('index=')")
        return offline_page

    return open_at
