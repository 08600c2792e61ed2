"""Commands stopped by signals: SIGTERM saves what Ctrl-C saves, and however often it comes, nobody sees a traceback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.guards import interrupted_by_signal, stop_on_signal
from tests.dashboards.conftest import free_port

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals")
SWEEP = """
datasets = ["digits"]
methods = ["vae"]
splits = [0, 1]
epochs = 100000
set = { net.hidden = 8, net.depth = 1 }
"""


@pytest.fixture(autouse=True)
def closed_terminals_are_noticed() -> Iterator[None]:
    """Commands that are started here do not inherit that SIGHUP is ignored, as where the tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


COMMAND = [sys.executable, "-m", "gpvae_core.cli"]
BEGUN = """
import sys
from dashboards.lab.first_start import FirstStart
from gpvae_core.cli.main import main
prepare = FirstStart.__init__
def prepare_and_start(self, *arguments):
    prepare(self, *arguments)
    self.start()
FirstStart.__init__ = prepare_and_start
main(sys.argv[1:])
"""
"""The command line, where the pages begin their first training before a browser opens one."""


def stopped(folder: Path, command: Sequence[str], began: str, signals: Sequence[int | float]) -> tuple[int, str]:
    """Send signals to a command and its children once there is a file of the pattern `began`; exit code and output.

    A float among the signals is a time to wait, in seconds.
    """
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob(began)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        for item in signals:
            if isinstance(item, float):
                time.sleep(item)
            elif process.poll() is None:
                os.killpg(process.pid, item)
        process.wait(timeout=100)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, log.read_text()


def steps(run: Path) -> int:
    state = json.loads((run / "last" / "state.json").read_text())
    return state["epoch"] * 11 + state["step"]


@pytest.mark.parametrize(
    "signals",
    [
        [0.5, signal.SIGTERM],
        [0.5, signal.SIGHUP],
        [0.5, signal.SIGINT, signal.SIGINT],
        [0.5, signal.SIGINT, 0.05, signal.SIGTERM, signal.SIGINT, 0.2, signal.SIGINT],
    ],
    ids=["SIGTERM", "SIGHUP", "Ctrl-C twice", "many"],
)
def test_a_training_saves_and_says_how_to_go_on(tmp_path: Path, signals: list[int | float]) -> None:
    """Before, SIGTERM and SIGHUP lost what was not saved and left the lock."""
    arguments = ["train", "--epochs", "100000", "--set", "net.hidden=8", "--out", "run", "--device", "cpu"]
    code, output = stopped(tmp_path, [*COMMAND, *arguments], "run/config.json", signals)
    assert code == 130
    assert "Traceback" not in output
    if len(signals) == 2:
        assert "stopped; go on with: gpvae train --resume run\ngpvae: stopped" in output
        assert steps(tmp_path / "run") > 0
        assert not (tmp_path / ".run.lock").exists()


def test_a_training_saves_when_its_terminal_is_closed(tmp_path: Path) -> None:
    """Before, the signal ended it at once; with a handler alone, the first line to the closed terminal did."""
    import pty  # which Windows lacks

    arguments = ["train", "--epochs", "100000", "--set", "net.hidden=8", "--out", "run", "--device", "cpu"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [*COMMAND, *arguments], {**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "config.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert steps(tmp_path / "run") > 0
    assert not (tmp_path / ".run.lock").exists()


def test_a_training_under_nohup_goes_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_by_signal(), stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wait(0.1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_pages_save_their_training(tmp_path: Path) -> None:
    server = [sys.executable, "-c", BEGUN, "explore", "--no-open", "--port", str(free_port())]
    run = tmp_path / "runs" / "digits-vae"
    code, output = stopped(tmp_path, server, "runs/digits-vae/config.json", [0.5, signal.SIGTERM])
    assert code == 0
    assert "Traceback" not in output
    assert steps(run) > 0
    assert not list((tmp_path / "runs").glob(".*.lock"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("began", "signals"),
    [
        ("results.sqlite", [signal.SIGINT, 0.3, signal.SIGINT]),
        ("results.sqlite", [1.0, signal.SIGINT]),
        ("results.sqlite", [2.0, signal.SIGINT, 1.0, signal.SIGINT]),
        ("runs/*/config.json", [3.0, signal.SIGTERM]),
        ("runs/*/config.json", [3.0, signal.SIGHUP]),
        ("runs/*/config.json", [0.5, signal.SIGINT, 0.4, signal.SIGINT]),
        ("runs/*/config.json", [0.5, signal.SIGINT, 0.4, signal.SIGINT, 0.2, signal.SIGINT]),
    ],
    ids=str,
)
def test_a_sweep_ends_in_one_line(tmp_path: Path, began: str, signals: list[int | float]) -> None:
    """Also while its workers start: before, they printed their tracebacks."""
    (tmp_path / "sweep.toml").write_text(SWEEP)
    arguments = ["sweep", "sweep.toml", "--out", "out", "--workers", "2", "--device", "cpu"]
    code, output = stopped(tmp_path, [*COMMAND, *arguments], f"out/{began}", signals)
    assert code == 130
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    if signal.SIGINT not in signals:
        assert "go on with: gpvae sweep sweep.toml --out out" in output
        runs = [path.parent for path in (tmp_path / "out" / "runs").glob("*/config.json")]
        assert runs
        assert all(steps(run) > 0 for run in runs)


ENDING = """
import atexit, signal, sys, time
from gpvae_core.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)

def clear_up():
    print("clearing up", flush=True)
    time.sleep(1)

def command(**options):
    atexit.register(clear_up)  # as torch does when a command imports it

main.app = command
main.main()
"""


def test_ctrl_c_while_libraries_clear_up_at_the_end_is_no_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", ENDING], env=environment, **pipes)
    assert process.stdout is not None
    assert "clearing up" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=20)
    assert (process.returncode, printed) == (0, "")


@pytest.mark.slow
def test_a_scheduler_killed_in_mid_sweep_is_one_line(tmp_path: Path) -> None:
    """Before, 37 lines of Dask's traceback came first."""
    (tmp_path / "sweep.toml").write_text(SWEEP)
    port, environment = free_port(), {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    quiet: dict[str, Any] = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    address, dask = f"tcp://127.0.0.1:{port}", [sys.executable, "-m"]
    options = ["--port", str(port), "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "distributed.cli.dask_scheduler", *options], **quiet)
    worker = subprocess.Popen([*dask, "distributed.cli.dask_worker", address, "--no-dashboard", "--no-nanny"], **quiet)
    sweep = [*COMMAND, "sweep", "sweep.toml", "--out", "out", "--device", "cpu", "--scheduler", address]
    try:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        process = subprocess.Popen(sweep, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        while not list((tmp_path / "out").glob("runs/*/config.json")):
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        scheduler.kill()
        _, printed = process.communicate(timeout=60)
    finally:
        for each in (scheduler, worker):
            each.kill()
            each.wait()
    assert process.returncode == 2
    lines = [line for line in printed.splitlines() if line.strip() and not line.startswith("sweep ")]
    assert len(lines) == 1
    assert "lost the Dask scheduler" in lines[0]
