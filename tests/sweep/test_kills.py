"""Real Dask clusters of two workers: kills of workers and of the sweep lose nothing and count nothing twice."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from gpvae_core.errors import UserError
from gpvae_core.sweep import cluster
from gpvae_core.sweep.charge import coordinating
from gpvae_core.sweep.cluster import ClusterSettings, local_client, remote_client, slots
from gpvae_core.sweep.config import SweepConfig
from gpvae_core.sweep.plan import Job
from gpvae_core.sweep.results import FILE, Result, open_results
from gpvae_core.sweep.run import SweepProgress, run_sweep
from tests.sweep.conftest import SCORES, TOML, wait_until

ROOT = Path(__file__).parents[2]
Scores = dict[str, dict[str, Any]]
pytestmark = pytest.mark.timeout(900)


def scores(rows: list[Result]) -> Scores:
    return {row.key: {name: getattr(row, name) for name in SCORES} for row in rows}


def in_training(out: Path) -> list[Path]:
    """Runs that were begun and have no line of metrics of the last epoch yet."""
    return [path.parent for path in out.glob("runs/*/config.json") if not finished(path.parent)]


def finished(run: Path) -> bool:
    state = run / "last" / "state.json"
    return state.is_file() and json.loads(state.read_text(encoding="utf-8"))["finished"]


def begin() -> int:
    """Import in a worker what a job needs, so that the first two jobs start together; its process id."""
    importlib.import_module("gpvae_core.sweep.work")
    return os.getpid()


def test_a_worker_killed_while_it_trains_loses_nothing(
    tmp_path: Path, small: SweepConfig, jobs: list[Job], undisturbed: Scores
) -> None:
    """Also the way of --scheduler: the cluster is there before the sweep, and stays."""
    told: list[SweepProgress] = []
    with local_client(2) as client, ThreadPoolExecutor(1) as pool:
        pids: Any = client.run(begin)
        where = ClusterSettings(scheduler=client.cluster.scheduler_address, device="cpu")  # pyright: ignore
        sweep = pool.submit(run_sweep, small, jobs, tmp_path, where, told.append)
        wait_until(lambda: len(in_training(tmp_path)) == 2 or sweep.done(), "two trainings")
        os.kill(min(pids.values()), signal.SIGKILL)
        outcome = sweep.result(timeout=240)
        after: Any = client.run(os.getpid)
    assert min(pids.values()) not in after.values()
    assert (outcome.total, outcome.done, outcome.failed) == (4, 4, [])
    rows = open_results(tmp_path).rows()
    assert [row.status for row in rows] == ["done"] * 4
    assert scores(rows) == undisturbed
    assert len([path for path in (tmp_path / "runs").iterdir() if path.is_dir()]) == 4
    assert [standing.done for standing in told if standing.news] == [1, 2, 3, 4]
    assert told[-1].seconds_left == 0.0


def start(folder: Path) -> subprocess.Popen[str]:
    """`gpvae sweep` with two workers in a process group of its own."""
    command = [sys.executable, "-m", "gpvae_core.cli", "sweep", "small.toml", "--out", "out", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*command, "--device", "cpu", "--json"], cwd=folder, env=environment, start_new_session=True, **pipes
    )


def ended(sweep: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; whatever happens, no process is left."""
    try:
        out, err = sweep.communicate(timeout=240)
        return sweep.returncode, out, err
    finally:
        sweep.kill()


def rows_that_are(status: str, out: Path) -> list[Result]:
    return [row for row in open_results(out).rows() if row.status == status] if (out / FILE).exists() else []


@pytest.mark.slow
def test_a_sweep_stopped_and_then_killed_goes_on_where_it_was(
    tmp_path: Path, small: SweepConfig, jobs: list[Job], undisturbed: Scores
) -> None:
    (tmp_path / "small.toml").write_text(TOML)
    out = tmp_path / "out"

    sweep = start(tmp_path)
    wait_until(lambda: len(rows_that_are("running", out)) == 2 or sweep.poll() is not None, "two jobs that run")
    os.killpg(sweep.pid, signal.SIGINT)
    code, _, stderr = ended(sweep)
    assert code == 130, stderr
    assert "go on with: gpvae sweep small.toml --out out" in stderr
    assert "Traceback" not in stderr
    assert not rows_that_are("running", out)

    sweep = start(tmp_path)
    wait_until(lambda: rows_that_are("done", out) or sweep.poll() is not None, "a first result")
    family = psutil.Process(sweep.pid).children(recursive=True)
    assert len(family) >= 2
    sweep.kill()
    ended(sweep)
    wait_until(lambda: not any(alive(process) for process in family), "the workers to end with their sweep")
    before = {row.key: row.finished for row in rows_that_are("done", out)}
    assert before

    outcome = run_sweep(small, jobs, out, ClusterSettings(workers=2, device="cpu"))
    assert (outcome.total, outcome.done, outcome.failed) == (4, 4, [])
    rows = open_results(out).rows(small.setup_key())
    assert scores(rows) == undisturbed
    assert {row.key: row.finished for row in rows if row.key in before} == before, "what was done is not done again"
    assert all(row.finished for row in rows)


def test_one_sweep_at_a_time_in_a_folder(tmp_path: Path, small: SweepConfig, jobs: list[Job]) -> None:
    with coordinating(tmp_path), pytest.raises(UserError, match=r"a sweep runs in .* already"):
        run_sweep(small, jobs, tmp_path, ClusterSettings())
    assert not (tmp_path / FILE).exists()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_the_local_cluster_answers_this_machine_alone() -> None:
    with local_client(1) as client:
        pids: Any = client.run(os.getpid)
        processes = [psutil.Process(), *map(psutil.Process, pids.values())]
        ports = [c.laddr for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(ports) >= 3
    assert {address.ip for address in ports} == {"127.0.0.1"}


def test_a_worker_a_gpu_sees_it_alone() -> None:
    """The environment and the resources; no GPU is needed to look at them."""
    with local_client(4, gpus=2) as client:
        assert slots(client) == (2, {"GPU": 1.0})
        seen: Any = client.run(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
        assert sorted(seen.values()) == ["0", "1"]
        assert client.submit(os.getpid, resources={"GPU": 1.0}, pure=False).result(timeout=60) > 0


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers at 'tcp://127.0.0.1:9'"),
        ("nonsense", "wanted the address of a Dask scheduler like tcp://host:8786, got 'nonsense'"),
        ("http://127.0.0.1:8786", "wanted the address of a Dask scheduler"),
        ("tcp://127.0.0.1:port", "wanted the address of a Dask scheduler"),
    ],
)
def test_no_scheduler_is_one_clear_line(address: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    with pytest.raises(UserError) as error, remote_client(address):
        pass
    assert message in str(error.value)
    assert "\n" not in str(error.value)
