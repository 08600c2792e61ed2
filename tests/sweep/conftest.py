"""Small sweeps on digits, and what their jobs give when nothing goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpvae_core.sweep.charge import coordinating
from gpvae_core.sweep.config import SweepConfig, parse_sweep
from gpvae_core.sweep.plan import Job, plan
from gpvae_core.sweep.work import run_job
from gpvae_core.threads import one_thread

PATIENCE = 120.0
"""Seconds to wait for what comes in a few; a busy machine is no failure."""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if actual := condition():
            return actual
        time.sleep(0.05)
    pytest.fail(f"waited {PATIENCE:.0f} s for {what}")


SETTINGS: dict[str, Any] = {
    "name": "small",
    "datasets": ["digits"],
    "methods": ["vae"],
    "splits": [0, 1],
    "restarts": [0, 1],
    "epochs": 60,
    "set": {"net.hidden": 8, "net.depth": 1},
    "evaluate": {"k": 5},
}
TOML = """
datasets = ["digits"]
methods = ["vae"]
splits = [0, 1]
restarts = [0, 1]
epochs = 60
set = { net.hidden = 8, net.depth = 1 }
evaluate = { k = 5 }
"""
"""SETTINGS as a file called small.toml."""


@pytest.fixture(scope="session")
def small() -> SweepConfig:
    """Four trainings of a second or so each."""
    return parse_sweep(SETTINGS)


@pytest.fixture(scope="session")
def jobs(small: SweepConfig) -> list[Job]:
    return plan(small)


SCORES = ("validation_elbo", "test_iwae", "test_elbo", "best_epoch", "epochs")


@pytest.fixture(scope="session")
def undisturbed(jobs: list[Job], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The scores of each job by key, trained in this process one after the other, with one thread as workers do."""
    out = tmp_path_factory.mktemp("undisturbed")
    with one_thread(), coordinating(out) as token:
        answers = {job.key: answer(job, out, token) for job in jobs}
    return {key: {name: actual[name] for name in SCORES} for key, actual in answers.items()}


def answer(job: Job, out: Path, token: str) -> dict[str, Any]:
    """What a worker answers about the job."""
    return run_job(job.config.to_json(), job.score.to_json(), str(out), job.folder, token, "cpu")
